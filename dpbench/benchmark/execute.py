"""Makes one trial's samples: prepare, fit, sample, store. Its files are whole or absent at any time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from safetensors.torch import save_file

from dpbench.benchmark.bench import Bench
from dpbench.benchmark.carried import refuse_changes, shared_state
from dpbench.benchmark.finish import timed
from dpbench.benchmark.log import Log
from dpbench.benchmark.recording import check_recorded, record
from dpbench.benchmark.sampling import sample_all
from dpbench.benchmark.trial import Trial
from dpbench.core.checkpoints import CODE, remove_checkpoints
from dpbench.core.context import CHECKPOINTS, RunContext
from dpbench.core.errors import DataError
from dpbench.core.files import code_version, digest, source_hash, write_atomic
from dpbench.core.method import Method
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.noise_key import FILE, NoiseKey
from dpbench.privacy.plan import CalibratedPlan
from dpbench.privacy.vault import Vault
from dpbench.results.sample_grid import write_grid
from dpbench.results.samples import StoredSamples
from dpbench.training.device import peak_memory_mb, reset_peak_memory


def execute(
    trial: Trial, method: type[Method] | None, plan: CalibratedPlan | None, bench: Bench, log: Log
) -> dict[str, Any]:
    """Everything up to and including the samples; gives back what trial.json says of the trial.

    An interrupted attempt goes on from its checkpoints: `prepare` and `fit` run again, and each phase of theirs takes
    up or skips what is stored. Releases that are done again are the same ones (see `privacy.noise_key`).

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
            with bench.context(trial.subject(bench.out), "fit", source_hash(method)) as run:
                _fit(prepared, trial, _noise_key(prepared, trial, bench, run), Ledger(plan), bench, run)


def _sample(trial: Trial, method_class: type[Method], plan: CalibratedPlan, bench: Bench, log: Log) -> dict[str, Any]:
    reset_peak_memory(bench.device)
    subject = trial.subject(bench.out)
    ledger = Ledger.at(subject.folder / "ledger.json", plan)
    for m in plan.mechanisms:
        log(f"plan: {m} at rate {m.sampling_rate:.6g}")
    seconds: dict[str, float] = {}
    with timed("prepare", log, seconds):
        method = _prepare(trial, method_class, bench)
    shared = shared_state(method_class)
    if trial.epsilon > 0:
        with bench.context(subject, "fit", source_hash(method_class)) as run, timed("fit", log, seconds):
            key = _noise_key(method, trial, bench, run)
            _fit(method, trial, key, ledger, bench, run)
        _refuse_changed_data(trial, bench)
        subject = replace(subject, accounting=ledger.accounting)
    with bench.context(subject, "sample") as run, timed("sample", log, seconds):
        sample_all(method, trial.request.conditions, subject.home / "samples", run)
    refuse_changes(method_class, shared)
    weights = {name: t.detach().cpu().contiguous().clone() for name, t in method.state_dict().items()}
    write_atomic(subject.home / "model.safetensors", lambda path: save_file(weights, path))
    write_grid(subject.home / "samples.png", StoredSamples(subject.home / "samples", trial.spec), str(trial))
    if trial.is_private:
        check_recorded(_run(trial, key), bench.sources)
    private, total = method.parameters()
    is_verified = ledger.accounting == "verified"
    return {
        "epsilon_spent": plan.epsilon if is_verified else None,
        "epsilon_rdp": plan.epsilon_rdp if is_verified else None,
        "mu": plan.mu if is_verified else None,
        "epsilon_at_1e-5": plan.epsilon_at_second_delta if is_verified else None,
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


def _refuse_changed_data(trial: Trial, bench: Bench) -> None:
    """Ends a trial whose records were not the same all the time; what it learnt is thrown away."""
    try:
        bench.sources.check_unchanged(trial.fingerprint)
    except DataError:
        remove_checkpoints(trial.subject(bench.out).workplace / CHECKPOINTS)
        raise


def _prepare(trial: Trial, method_class: type[Method], bench: Bench) -> Method:
    code = source_hash(method_class)
    with bench.launch.rank_zero_first(), bench.context(trial.subject(bench.out), "prepare", code) as run:
        method = method_class(trial.config, trial.spec)
        method.prepare(bench.sources.public if trial.public else None, run)
    return method


def _fit(method: Method, trial: Trial, key: NoiseKey, ledger: Ledger, bench: Bench, run: RunContext) -> None:
    """The private phase."""
    world = bench.launch.world
    noise = NoiseSource(bench.device, key, world.rank)
    private = Vault(
        bench.sources.train, trial.spec, ledger, noise, bench.device, bench.precision, run.checkpoints, world
    )
    try:
        method.fit(private, run)
    finally:
        private.door.close("it opens for fit alone")
    ledger.check_complete()


def _noise_key(method: Method, trial: Trial, bench: Bench, run: RunContext) -> NoiseKey:
    """The key of the attempt that goes on, or a new one.

    A run counts in the record of its dataset from here on, however it ends (rule R9). An attempt that goes on with the
    key of an interrupted one is the same run and does not count again. With other code, settings or processes it would
    release something else with the same noise; so it gets another key, starts anew, and counts.
    """
    device, world = torch.device(bench.device).type, bench.launch.world
    identity = digest([code_version(*CODE), source_hash(type(method)), device, bench.precision, world.size])
    key = None
    if world.leads:
        folder = run.checkpoints.folder
        assert folder is not None
        stored = key = NoiseKey.read(folder / FILE, identity)
        if key is None:
            remove_checkpoints(folder.parent)
            key = NoiseKey() if trial.noise_seed is None else NoiseKey.from_seed(trial.noise_seed)
        if trial.is_private:
            record(trial, _run(trial, key), bench.sources)
        if stored is None:
            key.store(folder / FILE, identity)
    secret = bench.launch.broadcast(key.secret if key else None)
    return key or NoiseKey(secret)


def _run(trial: Trial, key: NoiseKey) -> str:
    """What tells this run of a trial apart from others; with reproducible noise they are all the same run."""
    return f"{key.seed_of('run', trial.key):064x}"[:16]
