"""The stages of a trial: prepare, fit, sample. Drawing images is in `trial_sampling`, scoring in `scoring`.

Each stage takes the trial and the session. An interrupted trial runs the stages again, and each one continues from its
checkpoints; repeated releases are identical (see `privacy.noise_key`).
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from safetensors.torch import save

from dpbench.benchmark.session import Session
from dpbench.benchmark.trials.noise_keys import noise_key, run_id
from dpbench.benchmark.trials.trial import TrialSpec
from dpbench.benchmark.trials.trial_code import code_behind, code_outside
from dpbench.benchmark.trials.trial_sampling import draw_samples, finite_weights
from dpbench.core.checkpoints import Checkpoints
from dpbench.core.config import as_settings
from dpbench.core.errors import ChangedData, DataError
from dpbench.core.files import write_atomic
from dpbench.core.method import Method
from dpbench.core.peak_memory import peak_memory_mb
from dpbench.core.refiner import Refiner
from dpbench.core.registries import METHODS
from dpbench.core.stopwatch import Stopwatch
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.plan import CalibratedPlan
from dpbench.privacy.vault import Vault
from dpbench.results import privacy_record
from dpbench.results.best_effort import best_effort
from dpbench.results.provenance import provenance
from dpbench.results.record import TrialRecord, dataset_fields, is_sensitive
from dpbench.results.sample_grid import write_grid
from dpbench.results.samples import StoredSamples
from dpbench.results.trial_folder import LEDGER, MODEL, PICTURE, SAMPLES
from dpbench.results.trial_log import TrialLog
from dpbench.training.device import describe_device


def prepare(trial: TrialSpec, session: Session, log: TrialLog) -> Method[Any]:
    """A method after its public pretraining.

    Its seconds are what the row says: those of all attempts, or, for weights from the cache, those of making them.
    """
    attempt = Stopwatch()
    checkpoints = _checkpoints(trial, session, "prepare", log)
    folder = _workplace(trial, session)
    with (
        log.phase("prepare", checkpoints.stopwatch),
        session.processes.rank_zero_first(),
        session.phase("prepare", trial.seed, folder, checkpoints, log, session.tracking.of(trial)) as run,
    ):
        with session.seal.everything_closed():
            method = trial.plugin(trial.config, trial.spec)
        public = session.inputs.public if trial.public else None
        try:
            method.prepare(public, run)
            with method.refiner.cost.preparing(run.cache) if method.refiner else nullcontext():
                method.prepare_sampling(public, run)
        except AttributeError as error:
            if public is None:
                advice = 'public is None here; a method gets public images if its class sets track = "images"'
                raise AttributeError(f"{error} ({advice})") from error
            raise
    log.seconds["prepare"] = max(log.seconds["prepare"], attempt.seconds + run.cache.seconds_saved)
    return method


class Accounts(NamedTuple):
    """The accounts of a private phase.

    Attributes:
        ledger: every release.
        run: the run's name in the privacy record; None for a reference, which is not counted.
    """

    ledger: Ledger
    run: str | None = None


def fit(method: Method[Any], trial: TrialSpec, plan: CalibratedPlan, session: Session, log: TrialLog) -> Accounts:
    """The private phase: the method learns through the queries of a vault, which spends the plan.

    The public reference spends nothing.

    Raises:
        PrivacyError: the method's queries differ from its plan.
        ChangedData: the sensitive files changed while the method learned from them.
    """
    for m in plan.mechanisms:
        log(f"plan: {m} at rate {m.sampling_rate:.6g}")
    writes = session.processes.is_rank_zero
    ledger = Ledger.at(trial.folder(session.out).path / LEDGER, plan) if writes else Ledger(plan)
    if trial.epsilon == 0:
        return Accounts(ledger)
    checkpoints = _checkpoints(trial, session, "fit", log)
    folder = _workplace(trial, session)
    with (
        log.phase("fit", checkpoints.stopwatch),
        session.phase("fit", trial.seed, folder, checkpoints, log, session.tracking.of(trial)) as run,
    ):
        key = noise_key(trial, ledger, code_behind(trial, session), run, session)
        world = session.processes.world
        noise = NoiseSource(session.device, key, world.rank)
        private = Vault(
            session.inputs.train, trial.spec, ledger, noise, session.device, session.precision, checkpoints, world,
            request=trial.request, progress=run.progress,
        )  # fmt: skip
        try:
            method.fit(private, run)
        finally:
            private.door.close("it opens only for fit")
        ledger.check_complete()
    if writes:
        _check_unchanged(trial, session)
    return Accounts(ledger, run_id(trial, key) if trial.is_private else None)


def sample(method: Method[Any], trial: TrialSpec, accounts: Accounts, session: Session, log: TrialLog) -> TrialRecord:
    """Samples, and stores samples and model.

    Raises:
        DpbenchError: the model diverged, the method returns no images, or the run is no longer in the privacy record:
            then it gets no row.
    """
    ledger = accounts.ledger
    with session.seal.everything_closed():
        weights = finite_weights(method)
        private, total = method.parameters()
    hidden = is_sensitive(trial.spec.public_benchmark, trial.reference, trial.epsilon, ledger.accounting, trial.noise)
    home = trial.folder(session.out).home(hidden)
    choice = "" if hidden else method.public_choice
    if choice:
        log(f"public source chosen: {choice}")
    checkpoints = _checkpoints(trial, session, "sample", log)
    with (
        log.phase("sample", checkpoints.stopwatch),
        session.phase("sample", trial.seed, _workplace(trial, session), log=log) as run,
    ):
        draw_samples(method, trial.request.conditions, home / SAMPLES, run, checkpoints)
    write_atomic(home / MODEL, lambda path: path.write_bytes(save(weights)))
    with best_effort(home / PICTURE):
        write_grid(home / PICTURE, StoredSamples(home / SAMPLES, trial.spec), str(trial))
    if accounts.run is not None:
        privacy_record.check(session.inputs.record, accounts.run)
    return TrialRecord(
        **_about(trial, session),
        method_source=METHODS.source(trial.method),
        epsilon=trial.epsilon,
        delta=trial.delta if trial.is_private else None,
        neighbouring="one record replaced by nothing",
        accountant="PLD",
        accounting=ledger.accounting,
        unverified=tuple(ledger.unverified),
        noise=trial.noise,
        tuning=trial.tuning,
        preset=trial.preset,
        seed=trial.seed,
        public_source=trial.public.name if trial.public else "",
        public_choice=choice,
        public_fingerprint=trial.public.fingerprint if trial.public else "",
        pretrained=trial.pretrained,
        prompts=trial.prompts,
        parameters_private=private if trial.epsilon > 0 else 0,
        parameters_total=total,
        queries=sum(ledger.spent.values()),
        peak_memory_mb=peak_memory_mb(session.device),
        seconds_prepare=log.seconds.get("prepare"),
        seconds_fit=log.seconds.get("fit"),
        seconds_sample=log.seconds.get("sample"),
        **refiner_fields(method.refiner),
        **_spent_fields(ledger),
    )


def real_images(trial: TrialSpec, session: Session) -> TrialRecord:
    """The record of the `real` reference, which neither trains nor samples."""
    return TrialRecord(**_about(trial, session), epsilon=None)


def _about(trial: TrialSpec, session: Session) -> dict[str, Any]:
    """The fields that every record has: what the trial is, and where it ran."""
    return {
        "key": trial.key,
        "method": trial.method,
        "variant": trial.variant,
        "reference": trial.reference,
        "method_version": trial.version,
        "source_hash": code_outside(trial, session),
        "track": trial.track,
        "config": as_settings(trial.config),
        "request": session.request.stored(),
        **dataset_fields(trial.spec, trial.fingerprint),
        **provenance(describe_device(session.device), session.processes.world.size, session.precision),
    }


def _spent_fields(ledger: Ledger) -> dict[str, Any]:
    """A row's fields on the budget that was spent; empty if the accounting is unverified."""
    if ledger.accounting != "verified":
        return {}
    plan = ledger.plan
    return {
        "epsilon_spent": plan.epsilon,
        "epsilon_rdp": plan.epsilon_rdp,
        "mu": plan.mu,
        "epsilon_at_second_delta": plan.epsilon_at_second_delta,
    }


def refiner_fields(refiner: Refiner[Any] | None) -> dict[str, Any]:
    """A row's fields on the cost of the detail stage; empty without one."""
    if refiner is None:
        return {}
    return {
        "refiner_seconds_prepare": refiner.cost.seconds_prepare,
        "refiner_seconds_per_image": refiner.cost.seconds_per_image,
        "refiner_parameters": refiner.parameters(),
        "refiner_memory_mb": refiner.cost.memory_mb,
    }


def _workplace(trial: TrialSpec, session: Session) -> Path | None:
    if not session.processes.is_rank_zero:
        return None
    return trial.folder(session.out).workplace(trial.spec.public_benchmark)


def _checkpoints(trial: TrialSpec, session: Session, phase: str, log: TrialLog) -> Checkpoints:
    folder = trial.folder(session.out).checkpoints(trial.spec.public_benchmark)

    def say(line: str) -> None:
        session.display.say(f"  {line}")
        log(line)

    return Checkpoints(folder / phase, session.processes.is_rank_zero, code_behind(trial, session), say)


def _check_unchanged(trial: TrialSpec, session: Session) -> None:
    """Ends a trial whose records changed while it ran, and removes everything that it learned."""
    try:
        session.inputs.check_unchanged(trial.fingerprint)
    except DataError as error:
        trial.folder(session.out).remove_checkpoints(trial.spec.public_benchmark)
        raise ChangedData(str(error)) from error
