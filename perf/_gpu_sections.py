"""The sections of `gpu.py`. Each runs in its own process, so that a failure does not affect the other sections.

After a failed CUDA kernel a process is unusable, and a hanging kernel cannot be interrupted from inside its process.
"""

from __future__ import annotations

import importlib
import multiprocessing
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection

import torch

from perf._gpu_checks import OUT_OF_TIME, Cell, Setting, Value, run_checks

GRACE = 20.0
"""Additional seconds for a section to finish its last check after its time limit."""

WHOLE = "the whole section"


@dataclass(frozen=True)
class Section:
    """One table.

    Attributes:
        module: module with a function `checks(setting)` that returns the section's checks.
        title: description of the numbers and of when they pass.
        seconds: time limit, except in the tiny form.
    """

    module: str
    title: str
    seconds: float


SECTIONS: Mapping[str, Section] = {
    "gradients": Section(
        "perf._gpu_gradients",
        "Engines against vmap(grad) in fp64: largest relative error of a record's gradient or of the clipped sum",
        60,
    ),
    "clip": Section(
        "perf._gpu_clip",
        "Adversarial records, TF32 allowed: a record's contribution / clip; must not exceed 1 + 1e-5",
        40,
    ),
    "noise": Section(
        "perf._gpu_noise",
        "Noise and Poisson samples of the vault: statistics in standard errors, at most 6; p-values, at least 1e-8",
        30,
    ),
    "trial": Section("perf._gpu_trial", "A trial from end to end: seconds by phase, and what its row says", 110),
    "processes": Section(
        "perf._gpu_processes", "The process group of one process: what it exchanges stays the same", 30
    ),
    "throughput": Section(
        "perf._gpu_throughput", "Sampling and scoring: images per second, and the distance to the CPU's scores", 100
    ),
    "presets": Section(
        "perf._gpu_presets", "The private phase of the gpu presets, from a few of its steps: at most 10 minutes", 120
    ),
    "speed": Section(
        "perf._gpu_speed",
        "A private step against plain training: time ×, peak memory × at the same micro-batch, error of the sum",
        210,
    ),
}
"""The sections in order: first those that check the privacy guarantee, last the longest."""


def cells_of(section: Section, setting: Setting, seconds: float) -> Iterator[Cell]:
    """Runs a section in its own process and yields its cells as they are measured.

    The process is killed after its time limit. Its earlier cells are kept, and a failing cell says that it was killed.
    """
    if seconds <= 0:
        yield Cell(WHOLE, "", Value(None, None, OUT_OF_TIME))
        return
    context = multiprocessing.get_context("spawn" if setting.device.startswith("cuda") else "forkserver")
    context.set_forkserver_preload([s.module for s in SECTIONS.values()])  # CUDA does not work after a fork
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        receiver, sender = context.Pipe(duplex=False)
        deadline = time.time() + seconds
        process = context.Process(target=_work, args=(section.module, setting, deadline, scratch, sender), daemon=True)
        process.start()
        sender.close()
        try:
            while receiver.poll(max(0.0, deadline + GRACE - time.time())):
                yield receiver.recv()
            yield Cell(
                WHOLE,
                "",
                Value(None, False, f"killed: a check ran {GRACE:.0f} s beyond the section's {seconds:.0f} s"),
            )
        except EOFError:
            process.join()
            if process.exitcode:
                yield Cell(WHOLE, "", Value(None, False, f"its process died (exit {process.exitcode})"))
        finally:
            process.kill()
            process.join()


def _work(module: str, setting: Setting, deadline: float, scratch: str, sender: Connection) -> None:
    tempfile.tempdir = scratch  # removed even if this process is killed
    warnings.filterwarnings("ignore", message="There is a performance drop")  # vmap of attention
    if ":" in setting.device:  # one of several GPUs
        torch.cuda.set_device(setting.device)
    for cell in run_checks(importlib.import_module(module).checks(setting), deadline):
        sender.send(cell)
