"""`steps=auto`: chooses batch and steps by a rehearsal of a method's private phase on public data.

Only the declaration of the sensitive dataset is used; it is never opened.
"""

from __future__ import annotations

import math
import time
import typing
from dataclasses import asdict, dataclass, fields, replace
from typing import Literal

import torch
from torch import Tensor

from dpbench.benchmark.configure import Configured, plan_of
from dpbench.benchmark.session import Session
from dpbench.core.cache import PublicCache, public_cache
from dpbench.core.checkpoints import Checkpoints
from dpbench.core.closure import code_of
from dpbench.core.config import as_settings
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import ConfigError, foreign_code
from dpbench.core.specs import Budget, DatasetSpec, Request
from dpbench.privacy.plan import Plan
from dpbench.privacy.planner import Candidate, Gradients, best, survey, the_dp_sgd
from dpbench.privacy.rehearsal import OnPublicData, Rehearsal
from dpbench.privacy.stand_in import StandIn

CHOSEN = ("batch", "steps")
"""The settings that the planner chooses. Measured gradients do not depend on them."""

TRAINABLE = "trainable"
"""The setting that selects the trained weights, in methods that have one."""


@dataclass(frozen=True)
class Planner:
    """Chooses batch and steps for methods on a session's dataset, from gradients measured on its public source."""

    session: Session

    def at(self, method: Configured, epsilon: float) -> Configured:
        """The method as it runs at ε: `steps=auto` becomes the best batch and steps for the compute of its settings.

        At ε = 0 and ε = ∞ the settings stay as they are.

        Raises:
            ConfigError: the method has no DP-SGD with settings for batch and steps.
        """
        if not method.auto:
            return method
        self.plan(method)
        if not 0 < epsilon < math.inf:
            return replace(method, auto=False)
        chosen = best(self.judge(method, epsilon)).mechanism
        config = replace(method.config, batch=chosen.expected_batch, steps=chosen.steps)
        tuning = f"{method.tuning}; planner on {self._public.spec.name}"
        return replace(method, config=config, tuning=tuning, auto=False)

    def judge(self, method: Configured, epsilon: float, compute: int | None = None) -> list[Candidate]:
        """Candidates for batch and steps, with the method's other settings; see `survey`.

        Args:
            compute: rows to process, batch · steps · views; by default what the method's settings process.
        """
        plan, gradients = self.plan(method), self.measure(method)
        records = None if compute is None else compute // getattr(method.config, "views", 1)
        return survey(plan, Budget(epsilon, self.session.request.delta_for(self._spec)), gradients, records)

    def plan(self, method: Configured) -> Plan:
        """The method's plan, which must have one DP-SGD mechanism that the settings `CHOSEN` control.

        Raises:
            ConfigError: it has no such mechanism.
        """
        plan = plan_of(method.method, method.config, self._spec, self._conditions)
        try:
            dp_sgd = the_dp_sgd(plan)
        except ConfigError as error:
            raise ConfigError(f"method '{method.name}': {error}") from error
        values = [getattr(method.config, name, None) for name in CHOSEN]
        if values != [dp_sgd.expected_batch, dp_sgd.steps]:
            raise ConfigError(f"method '{method.name}' has no settings batch and steps that control its DP-SGD")
        return plan

    def measure(self, method: Configured) -> Gradients:
        """The method's gradients on public data, averaged over the start of its private phase and a few steps later.

        They are measured once, and kept in the public cache.
        """
        settings = {key: value for key, value in as_settings(method.config).items() if key not in CHOSEN}
        key = {
            "method": [method.name, method.method.version],
            "settings": settings,
            "dataset": [self._spec.shape, self._spec.n_classes, self._spec.caption_bytes, self._spec.n_train],
            "request": asdict(self._conditions),
            "public": self._public.fingerprint,
            "code": code_of(method.method, method.config, self._public),
        }
        cache = public_cache(precision=self.session.precision)
        numbers = cache.get("rehearsal", key, lambda generator: self._rehearse(method, generator, cache))
        weights, *moments = (numbers[f.name].item() for f in fields(Gradients))
        return Gradients(int(weights), *moments)

    def _rehearse(self, method: Configured, generator: torch.Generator, cache: PublicCache) -> dict[str, Tensor]:
        session = self.session
        device, precision, display = session.device, session.precision, session.display
        run = RunContext(device, generator, cache, display, None, precision, Checkpoints(None))
        weights = getattr(method.config, TRAINABLE, "all")
        display.say(f"{method.title}, training {weights} weights: rehearsal on public data, kept for later runs")
        start = time.monotonic()
        records = StandIn(self._public, self._spec)
        rehearsal = Rehearsal(records, self.plan(method), device, precision, self._conditions)
        with foreign_code(f"the rehearsal of '{method.name}' on public data"):
            with session.seal.everything_closed():
                rehearsed = method.method(method.config, self._spec)
            with session.seal.closed():
                rehearsed.prepare(self._public if method.uses_public else None, run)
                rehearsed.fit(rehearsal, replace(run, progress=OnPublicData(display), cache=public_cache(closed=True)))
        display.say(f"  rehearsed in {time.monotonic() - start:.0f} s")
        return {name: torch.tensor(value) for name, value in asdict(rehearsal.on_average()).items()}

    @property
    def _spec(self) -> DatasetSpec:
        return self.session.inputs.spec

    @property
    def _conditions(self) -> Request:
        return self.session.sampled

    @property
    def _public(self) -> ImageDataset:
        return self.session.inputs.public


def variants(method: Configured) -> dict[str, Configured]:
    """The method with each value of its setting `TRAINABLE`; just "all" for a method without that setting."""
    hint = typing.get_type_hints(method.method.Config).get(TRAINABLE)
    if typing.get_origin(hint) is not Literal:
        return {"all": method}
    values = typing.get_args(hint)
    return {value: replace(method, config=replace(method.config, **{TRAINABLE: value})) for value in values}
