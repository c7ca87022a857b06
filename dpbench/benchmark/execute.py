"""Makes one trial's samples: prepare, fit, sample, store. Its files are whole or absent at any time."""

from __future__ import annotations

from functools import partial
from typing import Any

from safetensors.torch import save_file

from dpbench.benchmark.bench import Bench
from dpbench.benchmark.device import peak_memory_mb, reset_peak_memory
from dpbench.benchmark.finish import timed
from dpbench.benchmark.log import Log
from dpbench.benchmark.provenance import now
from dpbench.benchmark.sampling import sample_all
from dpbench.benchmark.trial import Trial, dataset_folder
from dpbench.core.files import write_atomic
from dpbench.core.plugins import Method
from dpbench.core.run import RunContext
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.plan import CalibratedPlan
from dpbench.privacy.private_data import PrivateData
from dpbench.results import privacy_record
from dpbench.results.grid import write_grid
from dpbench.results.samples import StoredSamples

RECORDED, FITTED = "recorded", "fitted"
"""Notes in the checkpoint folder of `fit`: the run stands in the dataset's record; samples may have been drawn."""


def execute(
    trial: Trial, method: type[Method] | None, plan: CalibratedPlan | None, bench: Bench, log: Log
) -> dict[str, Any]:
    """Everything up to and including the samples; gives back what trial.json says of the trial.

    An interrupted attempt goes on from its checkpoints: `prepare` and `fit` run again, and each phase of theirs takes
    up or skips what is stored.

    Args:
        method: the method's class; None for the `real` reference, which has no samples.
        plan: the calibrated plan.
    """
    log(f"settings: {trial.config}")
    return trial.fields() | (_sample(trial, method, plan, bench, log) if method and plan else {})


def follow(trial: Trial, method: type[Method] | None, plan: CalibratedPlan | None, bench: Bench) -> None:
    """What the other processes do while the first executes a trial: prepare and fit, and write nothing."""
    if method and plan:
        prepared = _prepare(trial, method, bench)
        if trial.epsilon > 0:
            with bench.context(trial.subject(bench.out), "fit") as run:
                _fit(prepared, trial, Ledger(plan), bench, run)


def _sample(trial: Trial, method_class: type[Method], plan: CalibratedPlan, bench: Bench, log: Log) -> dict[str, Any]:
    reset_peak_memory(bench.device)
    subject = trial.subject(bench.out)
    ledger = Ledger.at(subject.folder / "ledger.json", plan)
    for m in plan.mechanisms:
        log(f"plan: {m} at rate {m.sampling_rate:.6g}")
    seconds: dict[str, float] = {}
    with timed("prepare", log, seconds):
        method = _prepare(trial, method_class, bench)
    if trial.epsilon > 0:
        with bench.context(subject, "fit") as run, timed("fit", log, seconds):
            _fit(method, trial, ledger, bench, run)
    with bench.context(subject, "sample") as run, timed("sample", log, seconds):
        sample_all(method, trial.request.conditions, subject.home / "samples", run)
    weights = {name: t.detach().cpu().contiguous().clone() for name, t in method.state_dict().items()}
    write_atomic(subject.home / "model.safetensors", lambda path: save_file(weights, path))
    write_grid(subject.home / "samples.png", StoredSamples(subject.home / "samples", trial.spec), str(trial))
    private, total = method.parameters()
    return {
        "epsilon_spent": plan.epsilon,
        "epsilon_rdp": plan.epsilon_rdp,
        "mu": plan.mu,
        "epsilon_at_1e-5": plan.epsilon_at_second_delta,
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
    with bench.launch.one_first(), bench.context(trial.subject(bench.out), "prepare") as run:
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
