"""Runs one trial: prepare, fit, sample, store, and only then evaluate. Its files are whole or absent at any time."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from dpbench.benchmark.device import peak_memory_mb, reset_peak_memory
from dpbench.benchmark.display import Display
from dpbench.benchmark.launch import Launch
from dpbench.benchmark.log import Log
from dpbench.benchmark.provenance import now, provenance
from dpbench.benchmark.sampling import sample_all
from dpbench.benchmark.scoring import artefacts, score
from dpbench.benchmark.sources import Sources
from dpbench.benchmark.trial import Trial, dataset_folder
from dpbench.core.checkpoints import Checkpoints, has_checkpoints, remove_checkpoints
from dpbench.core.errors import DpbenchError
from dpbench.core.files import digest, write_atomic, write_json
from dpbench.core.plugins import Method
from dpbench.core.run import CHECKPOINTS, Precision, PublicCache, RunContext
from dpbench.core.seal import sealed
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.plan import CalibratedPlan
from dpbench.privacy.private_data import PrivateData
from dpbench.results import privacy_record
from dpbench.results.grid import write_grid
from dpbench.results.row import IDENTITY
from dpbench.results.samples import StoredSamples
from dpbench.results.store import SCORES, SENSITIVE, TRIAL, UNSCORED, holds


@dataclass(frozen=True)
class Bench:
    """What the trials of one command share."""

    sources: Sources
    launch: Launch
    precision: Precision
    cache: PublicCache
    display: Display
    out: Path

    @property
    def device(self) -> str:
        """What this process computes on."""
        return self.launch.device

    @contextmanager
    def context(self, trial: Trial, phase: str) -> Iterator[RunContext]:
        """A phase's working environment, its generators seeded from the trial's seed and the phase alone.

        The global generator, from which initial weights come, is put back afterwards. None of this reaches DP noise.
        Until a method has sampled, the test split is closed to it, and so is every way to train but `PrivateData`.
        """
        seed = int(digest([trial.seed, phase]), 16) % 2**63
        seal = nullcontext() if phase == "evaluate" else sealed(self.sources.dataset)
        with torch.random.fork_rng(devices=[]), seal:
            torch.manual_seed(seed)
            folder = artefacts(trial, trial.folder(self.out))
            generator = torch.Generator().manual_seed(seed)
            leads = self.launch.leads
            checkpoints = Checkpoints(folder / CHECKPOINTS / phase, writes=leads)
            kept = folder if leads else None
            yield RunContext(self.device, generator, self.cache, self.display, kept, self.precision, checkpoints)


RECORDED, FITTED = "recorded", "fitted"
"""Notes in the checkpoint folder of `fit`: the run stands in the dataset's record; samples may have been drawn."""

EMPTY = {f.name: None for f in IDENTITY}


def execute(
    trial: Trial, method: type[Method] | None, plan: CalibratedPlan | None, metrics: Sequence[str], bench: Bench
) -> None:
    """Finishes a trial: samples it unless that is done, then computes `metrics`.

    An interrupted attempt goes on from its checkpoints: `prepare` and `fit` run again, and each phase of theirs takes
    up or skips what is stored.

    Args:
        method: the method's class; None for the `real` reference.
        plan: the calibrated plan; None where nothing has to be fitted any more.
        metrics: names of the metrics that have no value yet.

    Raises:
        DpbenchError: whatever went wrong, in one line. The folder then has a log.txt, but no trial.json.
    """
    folder = trial.folder(bench.out)
    log = Log(folder / "log.txt")
    try:
        if not is_sampled(trial, bench.out):
            resumes = has_checkpoints(artefacts(trial, folder) / CHECKPOINTS)
            if not resumes:
                discard(folder)
            log(f"{trial} {'goes on from its checkpoints' if resumes else 'starts'}: {trial.config}")
            log(f"on {bench.device} in {bench.precision}")
            made = _sample(trial, method, plan, bench, folder, log) if method and plan else {}
            made |= provenance(bench.device, bench.launch.world.size, bench.precision)
            write_json(folder / UNSCORED, {**EMPTY, **trial.fields(), **made})
        remove_checkpoints(artefacts(trial, folder) / CHECKPOINTS)
        if metrics:
            with bench.context(trial, "evaluate") as run, _timed("evaluate", log):
                score(trial, folder, metrics, bench.sources, run)
        if not holds(folder, trial.key):
            (folder / UNSCORED).replace(folder / TRIAL)
        log("finished")
    except KeyboardInterrupt:
        log("interrupted")
        raise
    except DpbenchError as error:
        log(f"failed: {error}")
        raise
    except Exception as error:  # a method is foreign code: whatever it raises becomes one line that names the trial
        log(f"failed:\n{traceback.format_exc()}")
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise DpbenchError(f"{trial} failed: {reason} (traceback in {log.path})") from error


def follow(trial: Trial, method: type[Method] | None, plan: CalibratedPlan | None, bench: Bench) -> None:
    """What the other processes do while the first executes a trial: prepare and fit, and write nothing."""
    if method and plan:
        prepared = _prepare(trial, method, bench)
        if trial.epsilon > 0:
            with bench.context(trial, "fit") as run:
                _fit(prepared, trial, Ledger(plan), bench, run)


def is_sampled(trial: Trial, out: Path) -> bool:
    """Whether nothing but scores may be missing."""
    folder = trial.folder(out)
    return holds(folder, trial.key) or holds(folder, trial.key, UNSCORED)


def discard(folder: Path) -> None:
    """Takes away what an earlier attempt left, but for its log; trial.json first."""
    for part in (folder, folder / SENSITIVE):
        for name in (TRIAL, UNSCORED, SCORES, "ledger.json", "model.safetensors", "samples.png"):
            (part / name).unlink(missing_ok=True)
        remove_checkpoints(part / CHECKPOINTS)


def _sample(
    trial: Trial, method_class: type[Method], plan: CalibratedPlan, bench: Bench, folder: Path, log: Log
) -> dict[str, Any]:
    """Everything up to and including the samples; gives back what trial.json says about it."""
    reset_peak_memory(bench.device)
    target = artefacts(trial, folder)
    ledger = Ledger.at(folder / "ledger.json", plan)
    for m in plan.mechanisms:
        log(f"plan: {m} at rate {m.sampling_rate:.6g}")
    seconds: dict[str, float] = {}
    with _timed("prepare", log, seconds):
        method = _prepare(trial, method_class, bench)
    if trial.epsilon > 0:
        with bench.context(trial, "fit") as run, _timed("fit", log, seconds):
            _fit(method, trial, ledger, bench, run)
    with bench.context(trial, "sample") as run, _timed("sample", log, seconds):
        sample_all(method, trial.request.conditions, target / "samples", run)
    weights = {name: t.detach().cpu().contiguous().clone() for name, t in method.state_dict().items()}
    write_atomic(target / "model.safetensors", lambda path: save_file(weights, path))
    write_grid(target / "samples.png", StoredSamples(target / "samples", trial.spec), str(trial))
    private, total = method.parameters()
    return {
        "epsilon_spent": plan.epsilon,
        "epsilon_rdp": plan.epsilon_rdp,
        "neighbouring": "one record replaced by nothing",
        "accountant": "PLD",
        "accounting": ledger.accounting,
        "unverified": ledger.unverified,
        "noise": ("secret" if trial.noise_seed is None else "reproducible") if trial.is_private else "",
        "parameters_private": private if trial.epsilon > 0 else 0,
        "parameters_total": total,
        "queries": sum(ledger.spent.values()),
        **{f"seconds_{phase}": value for phase, value in seconds.items()},
        "peak_memory_mb": peak_memory_mb(bench.device),
    }


def _prepare(trial: Trial, method_class: type[Method], bench: Bench) -> Method:
    with bench.launch.one_first(), bench.context(trial, "prepare") as run:
        method = method_class(trial.config, trial.spec)
        method.prepare(bench.sources.public if trial.public else None, run)
    return method


def _fit(method: Method, trial: Trial, ledger: Ledger, bench: Bench, run: RunContext) -> None:
    """The private phase.

    It counts in the dataset's record from its start, however it ends (rule R9). An attempt that goes on from
    checkpoints is the same run and does not count again: every release that was stored is taken up, and what was drawn
    after the last checkpoint was lost with its process and reached nobody. Where it draws anew what an earlier attempt
    had stored (a damaged file, other code) or had begun to sample from, it counts again, before the first new release.
    """
    world = bench.launch.world
    noise = NoiseSource(bench.device, trial.noise_seed, stream=world.rank)
    private = PrivateData(
        bench.sources.train, trial.spec, ledger, noise, bench.device, bench.precision, run.checkpoints, world
    )
    if trial.is_private and world.leads:
        run.checkpoints.before_leaving = partial(_record, trial, bench)
        if not run.checkpoints.is_marked(RECORDED):
            _record(trial, bench)
            run.checkpoints.mark(RECORDED)
    method.fit(private, run)
    ledger.check_complete()
    run.checkpoints.mark(FITTED)


def _record(trial: Trial, bench: Bench) -> None:
    entry = {"date": now(), "method": trial.method, "key": trial.key, "seed": trial.seed}
    budget = {"epsilon": trial.epsilon, "delta": trial.delta}
    privacy_record.append(dataset_folder(bench.out, trial.spec.name), entry | budget)


@contextmanager
def _timed(phase: str, log: Log, seconds: dict[str, float] | None = None) -> Iterator[None]:
    """Logs how long a phase took, and keeps it in `seconds`."""
    start = time.perf_counter()
    log(f"{phase} ...")
    yield
    taken = time.perf_counter() - start
    log(f"{phase}: {taken:.1f} s")
    if seconds is not None:
        seconds[phase] = taken
