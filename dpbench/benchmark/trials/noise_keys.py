"""The noise key of a trial's private run, and the run's entry in the user's privacy record (rules R4 and R9)."""

from __future__ import annotations

import warnings
from dataclasses import asdict

import numpy as np
import torch

from dpbench.benchmark.session import Session
from dpbench.benchmark.trials.trial import TrialSpec
from dpbench.core.checkpoints import remove_checkpoints
from dpbench.core.context import RunContext
from dpbench.core.files import digest
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.noise_key import FILE, NoiseKey
from dpbench.results import privacy_record
from dpbench.results.provenance import now


def noise_key(trial: TrialSpec, ledger: Ledger, code: str, run: RunContext, session: Session) -> NoiseKey:
    """The key of the interrupted attempt that continues, or a new one.

    From here on, the run counts in the privacy record of its dataset, however it ends (rule R9). An attempt that
    continues with the key of an interrupted one is the same run, and is not counted again. With other code, settings or
    processes, it would release something else with the same noise. So it gets a new key, starts from the beginning, and
    counts. An attempt that ended before its first release has shown nothing: the next one is the same run in any case.

    The key is stored before the run is recorded. An attempt that is killed in between has released nothing, and the
    next one, with the same key, adds the line to the record.

    Why the identity is sufficient: the method and the vault compute a released value from the decoded images, the
    settings, the calibrated plan, the experiment's seeds, torch and NumPy, on a kind of device, in a precision, by a
    number of processes. The trial's folder identifies images and settings, and the identity everything else. Code
    outside these closures (metrics, results, other methods, the harness) can change a release only through one of
    these, or through the state from which `fit` starts, which the key records for each query (see
    `privacy.noise_key`).

    Args:
        ledger: the ledger of the plan with its noise multipliers, which a new version of the calibration may change.
        code: see `trial_code.code_behind`.
        run: the working environment of `fit`, before its generators are used.
    """
    kind, world = torch.device(session.device).type, session.processes.world
    device = [kind, torch.cuda.get_device_name(session.device)] if kind == "cuda" else [kind]
    mechanisms = [[type(m).__name__, asdict(m)] for m in ledger.plan.mechanisms]
    seeds = [run.generator.initial_seed(), torch.initial_seed()]
    versions = [torch.__version__, np.__version__]  # the generators of both may change
    identity = digest([code, mechanisms, seeds, versions, device, session.precision, world.size])
    key = None
    if session.processes.is_rank_zero:
        folder = run.checkpoints.folder
        assert folder is not None
        key = NoiseKey.read(folder / FILE, identity)
        if key is None:
            key = None if ledger.released_before else NoiseKey.unused(folder / FILE)
            if key is None and (folder / FILE).exists():
                warnings.warn(
                    f"{trial}: the code or environment changed since the interruption; it starts from the beginning, "
                    "as another private run",
                    stacklevel=2,
                )
            remove_checkpoints(folder.parent)
            key = key or (NoiseKey() if trial.noise_seed is None else NoiseKey.from_seed(trial.noise_seed))
            key.store(folder / FILE, identity)
        if trial.is_private:
            _record(trial, key, session)
    secret = session.processes.broadcast(key.secret if key else None)
    return key or NoiseKey(secret)


def run_id(trial: TrialSpec, key: NoiseKey) -> str:
    """The identifier of this run of a trial; with reproducible noise, all runs of a trial are the same run."""
    return f"{key.seed_of('run', trial.key):064x}"[:16]


def _record(trial: TrialSpec, key: NoiseKey, session: Session) -> None:
    """Adds the run to the privacy record of its dataset, unless it is there."""
    run = run_id(trial, key)
    entry = {"date": now(), "run": run, "key": trial.key, "method": trial.method, "seed": trial.seed}
    dataset = {"dataset": trial.spec.name, "fingerprint": trial.fingerprint}
    budget = {"epsilon": trial.epsilon, "delta": trial.delta}
    privacy_record.append(session.inputs.record, entry | dataset | budget)
