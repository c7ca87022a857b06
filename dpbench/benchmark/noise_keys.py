"""The noise key of a trial's private run, and the run's entry in the user's privacy record (rules R4 and R9)."""

from __future__ import annotations

import torch

from dpbench.benchmark.session import Session
from dpbench.benchmark.trial import TrialSpec
from dpbench.core.checkpoints import CODE, Checkpoints, remove_checkpoints
from dpbench.core.files import code_version, digest, source_hash
from dpbench.privacy.noise_key import FILE, NoiseKey
from dpbench.results import privacy_record
from dpbench.results.provenance import now


def noise_key(trial: TrialSpec, checkpoints: Checkpoints, session: Session) -> NoiseKey:
    """The key of the interrupted attempt that continues, or a new one.

    From here on the run counts in the privacy record of its dataset, however it ends. An attempt that continues with
    the key of an interrupted one is the same run and is not counted again. With other code, settings or processes it
    would release something else with the same noise; so it gets a new key, starts from the beginning, and counts.

    Args:
        checkpoints: those of the private phase.
    """
    device, world = torch.device(session.device).type, session.processes.world
    identity = digest([code_version(*CODE), source_hash(trial.plugin), device, session.precision, world.size])
    key = None
    if session.processes.is_rank_zero:
        folder = checkpoints.folder
        assert folder is not None
        stored = key = NoiseKey.read(folder / FILE, identity)
        if key is None:
            remove_checkpoints(folder.parent)
            key = NoiseKey() if trial.noise_seed is None else NoiseKey.from_seed(trial.noise_seed)
        if trial.is_private:
            _record(trial, key, session)
        if stored is None:
            key.store(folder / FILE, identity)
    secret = session.processes.broadcast(key.secret if key else None)
    return key or NoiseKey(secret)


def run_id(trial: TrialSpec, key: NoiseKey) -> str:
    """Distinguishes this run of a trial from others; with reproducible noise all are the same run."""
    return f"{key.seed_of('run', trial.key):064x}"[:16]


def _record(trial: TrialSpec, key: NoiseKey, session: Session) -> None:
    """Adds the run to the record of its dataset, unless it is there."""
    run, path = run_id(trial, key), session.inputs.record
    if privacy_record.holds(path, run):
        return
    entry = {"date": now(), "run": run, "key": trial.key, "method": trial.method, "seed": trial.seed}
    dataset = {"dataset": trial.spec.name, "fingerprint": trial.fingerprint}
    budget = {"epsilon": trial.epsilon, "delta": trial.delta}
    privacy_record.append(path, entry | dataset | budget)
