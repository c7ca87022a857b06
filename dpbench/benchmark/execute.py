"""Runs one trial: prepare, fit, sample, store, and only then evaluate. Its files are whole or absent at any time."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from dpbench.benchmark.device import peak_memory_mb, reset_peak_memory
from dpbench.benchmark.display import Display
from dpbench.benchmark.log import Log
from dpbench.benchmark.provenance import now, provenance
from dpbench.benchmark.sampling import sample_all
from dpbench.benchmark.scoring import artefacts, score
from dpbench.benchmark.sources import Sources
from dpbench.benchmark.trial import Trial, dataset_folder
from dpbench.core.errors import DpbenchError
from dpbench.core.files import digest, write_atomic, write_json
from dpbench.core.plugins import Method
from dpbench.core.run import PublicCache, RunContext
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
    device: str
    cache: PublicCache
    display: Display
    out: Path

    @contextmanager
    def context(self, trial: Trial, phase: str) -> Iterator[RunContext]:
        """A phase's working environment, its generators seeded from the trial's seed and the phase alone.

        The global generator, from which initial weights come, is put back afterwards. None of this reaches DP noise.
        """
        seed = int(digest([trial.seed, phase]), 16) % 2**63
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            folder = artefacts(trial, trial.folder(self.out))
            yield RunContext(self.device, torch.Generator().manual_seed(seed), self.cache, self.display, folder)


EMPTY = {f.name: None for f in IDENTITY}


def execute(
    trial: Trial, method: type[Method] | None, plan: CalibratedPlan | None, metrics: Sequence[str], bench: Bench
) -> None:
    """Finishes a trial: samples it unless that is done, then computes `metrics`.

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
            discard(folder)
            log(f"{trial} starts on {bench.device}: {trial.config}")
            made = _sample(trial, method, plan, bench, folder, log) if method and plan else {}
            write_json(folder / UNSCORED, {**EMPTY, **trial.fields(), **made, **provenance(bench.device)})
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


def is_sampled(trial: Trial, out: Path) -> bool:
    """Whether nothing but scores may be missing."""
    folder = trial.folder(out)
    return holds(folder, trial.key) or holds(folder, trial.key, UNSCORED)


def discard(folder: Path) -> None:
    """Takes away what an earlier attempt left, but for its log; trial.json first."""
    for part in (folder, folder / SENSITIVE):
        for name in (TRIAL, UNSCORED, SCORES, "ledger.json", "model.safetensors", "samples.png"):
            (part / name).unlink(missing_ok=True)


def _sample(
    trial: Trial, method_class: type[Method], plan: CalibratedPlan, bench: Bench, folder: Path, log: Log
) -> dict[str, Any]:
    """Everything up to and including the samples; gives back what trial.json says about it."""
    reset_peak_memory(bench.device)
    target = artefacts(trial, folder)
    ledger = Ledger(plan, folder / "ledger.json")
    write_json(folder / "ledger.json", ledger.as_dict())
    for m in plan.mechanisms:
        log(f"plan: {m} at rate {m.sampling_rate:.6g}")
    seconds: dict[str, float] = {}
    with bench.context(trial, "prepare") as run, _timed("prepare", log, seconds):
        method = method_class(trial.config, trial.spec)
        method.prepare(bench.sources.public if trial.public else None, run)
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
        **{f"seconds_{phase}": value for phase, value in seconds.items()},
        "peak_memory_mb": peak_memory_mb(bench.device),
    }


def _fit(method: Method, trial: Trial, ledger: Ledger, bench: Bench, run: RunContext) -> None:
    """The private phase. It counts in the dataset's record from its start, however it ends (rule R9)."""
    noise = NoiseSource(bench.device, trial.noise_seed)
    private = PrivateData(bench.sources.train, trial.spec, ledger, noise, bench.device)
    if trial.is_private:
        entry = {"date": now(), "method": trial.method, "key": trial.key, "seed": trial.seed}
        budget = {"epsilon": trial.epsilon, "delta": trial.delta}
        privacy_record.append(dataset_folder(bench.out, trial.spec.name), entry | budget)
    method.fit(private, run)
    ledger.check_complete()


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
