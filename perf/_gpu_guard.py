"""Check that the guard accepts closures that keep no records, on a busy CPU.

On a GPU the backward pass runs on another thread, which may release its tensors after the call returns. The delay grows
with the load of the CPU.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.checks.guard import guarded
from perf._gpu_checks import Setting, Value

PASSES, TINY_PASSES = 200, 20

LONGEST = 20
"""Seconds after which the competing processes exit."""


def guarded_passes(setting: Setting) -> Mapping[str, Value]:
    """The number of forward and backward passes that the guard refuses, which should be 0, and its first message."""
    model = nn.Sequential(nn.Linear(16, 64), nn.GELU(), nn.Linear(64, 10)).to(setting.device)
    records = Batch(derived=torch.rand(64, 16, device=setting.device))

    def losses(batch: Batch) -> Tensor:
        values = model(batch.derived).square().sum(1)
        torch.autograd.grad(values.sum(), list(model.parameters()))
        return values.detach()

    passes, refusals = TINY_PASSES if setting.tiny else PASSES, []
    with _busy_cpu(1 if setting.tiny else os.cpu_count() or 1):
        for _ in range(passes):
            try:
                guarded(losses, records, "the loss", model)
            except PrivacyError as error:
                refusals.append(str(error))
    why = f"of {passes}" + (f"; {refusals[0]}" if refusals else "")
    return {"refused": Value(len(refusals), not refusals, why)}


@contextmanager
def _busy_cpu(processes: int) -> Iterator[None]:
    """Processes compete for the cores, and a thread competes for the interpreter lock."""
    loop = f"import time; end = time.time() + {LONGEST}\nwhile time.time() < end: pass"
    others = [subprocess.Popen([sys.executable, "-c", loop]) for _ in range(processes)]
    done = threading.Event()

    def spin() -> None:
        while not done.is_set():
            pass

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(interval / 20)  # at the usual 5 ms most of the time would be waiting
    try:
        yield
    finally:
        done.set()
        thread.join()
        sys.setswitchinterval(interval)
        for other in others:
            other.kill()
            other.wait()
