"""The code that a trial's result depends on."""

from __future__ import annotations

from collections.abc import Iterator

from dpbench.benchmark.public_choice import candidates
from dpbench.benchmark.session import Session
from dpbench.benchmark.trials.trial import TrialSpec
from dpbench.core.closure import chosen_by, code_hash, outside_hash
from dpbench.privacy.vault import Vault


def code_behind(trial: TrialSpec, session: Session) -> str:
    """The hash of the code that a trial's states and releases depend on.

    It covers the method, the plugins chosen in its configuration, the vault, and the decoding of the sensitive and the
    public images.
    """
    return code_hash(*_objects(trial, session), Vault)


def code_outside(trial: TrialSpec, session: Session) -> str:
    """The hash of that part of the same code that is not dpbench's own; "" if there is none. Computed once per session.

    A finished trial stays valid as long as this hash stays the same. Changes of dpbench itself do not count here: if a
    change affects results, the method's `version` changes.
    """
    objects = list(_objects(trial, session))
    identity = tuple(map(id, objects))
    if identity not in session.code_outside:
        session.code_outside[identity] = outside_hash(*objects)
    return session.code_outside[identity]


def _objects(trial: TrialSpec, session: Session) -> Iterator[object]:
    inputs = session.inputs
    yield from (inputs.dataset, inputs.train)
    if not trial.is_real:
        yield from (trial.plugin, type(trial.config), *chosen_by(trial.config))
    if trial.public:
        yield inputs.public
        if several := candidates(trial.public.name):
            yield from chosen_by(several.choice)
