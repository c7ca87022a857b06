"""The specification of a trial: one method, configured, on one dataset under one budget and one seed.

It is plain data. Any process that has the dataset can run the trial from it: see `trial_run.run_trial`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from dpbench.benchmark.inputs import Source
from dpbench.benchmark.public_choice import learning_from
from dpbench.benchmark.request import Reference
from dpbench.core.config import as_settings, build, option
from dpbench.core.errors import DpbenchError
from dpbench.core.files import digest
from dpbench.core.method import Method
from dpbench.core.registries import METHODS
from dpbench.core.specs import Budget, DatasetSpec, Request
from dpbench.core.variants import titled
from dpbench.results.record import trial_title
from dpbench.results.trial_folder import TrialFolder


@cache
def _as_dict(request: Request) -> dict[str, Any]:
    """The request as JSON-like values; cached, as all trials of a run share one, with thousands of conditions."""
    return asdict(request)


@dataclass(frozen=True)
class RealImages:
    """The configuration of the `real` reference."""

    samples: int = option(1, "number of samples of the rows that it is a reference for", low=1)


@dataclass(frozen=True, kw_only=True)
class TrialSpec:
    """Everything that defines one trial, and how its row is labelled.

    Attributes:
        method: registered name; "real" for real images scored as if they were synthetic.
        version: the method's version.
        track: the method's track.
        config: an instance of the method's `Config`; of `RealImages` for "real".
        spec: the sensitive dataset's declaration.
        fingerprint: the fingerprint of its train split.
        public: the public source, or None for methods that use none.
        request: the samples to draw, fixed before `fit`.
        epsilon: 0 for the public reference, infinite for the non-private one, NaN for "real".
        delta: in (0, 1).
        seed: the seed of the experiment's generators; never of DP noise (rule R4).
        reference: the kind of reference row, "" for a private trial.
        preset: preset that the configuration started from; a label.
        tuning: what the configuration was tuned on; a label.
        variant: the user's changes to the preset; a label.
        noise_seed: makes the DP noise reproducible, for tests only.
        pretrained: the method's external pretrained weights, "name@hash, ..."; "" for none.
        prompts: the source of the prompts; a label, "" for none.
    """

    method: str
    version: str
    track: str
    config: Any
    spec: DatasetSpec
    fingerprint: str
    public: Source | None
    request: Request
    epsilon: float
    delta: float
    seed: int
    reference: Reference = ""
    preset: str = ""
    tuning: str = ""
    variant: str = ""
    noise_seed: int | None = None
    pretrained: str = ""
    prompts: str = ""

    @classmethod
    def real(cls, spec: DatasetSpec, fingerprint: str, request: Request, delta: float) -> TrialSpec:
        """The `real` reference for rows with the samples `request` on a dataset."""
        return cls(
            method="real",
            version="2",
            track="",
            config=RealImages(request.conditions.count),
            spec=spec,
            fingerprint=fingerprint,
            public=None,
            request=request,
            epsilon=math.nan,
            delta=delta,
            seed=0,
            reference="real",
        )

    @property
    def plugin(self) -> type[Method[Any]]:
        """The method's class, adapted to the trial's public source (see `learning_from`).

        Raises:
            UnknownName: no method of that name is registered in this process.
        """
        return learning_from(METHODS.get(self.method), self.public.name if self.public else "")

    @property
    def title(self) -> str:
        """Method and variant."""
        return titled(self.method, self.variant)

    @property
    def budget(self) -> Budget:
        """The privacy budget."""
        return Budget(self.epsilon, self.delta)

    @property
    def is_real(self) -> bool:
        """Whether it is the `real` reference, which has no method and no samples of its own."""
        return self.reference == "real"

    @property
    def is_private(self) -> bool:
        """Whether it spends a finite, positive ε."""
        return 0 < self.epsilon < math.inf

    @property
    def noise(self) -> Literal["", "secret", "reproducible"]:
        """The kind of its DP noise; "" if it draws none."""
        if not self.is_private:
            return ""
        return "secret" if self.noise_seed is None else "reproducible"

    @cached_property
    def key(self) -> str:
        """A short hash of everything that defines the trial."""
        return digest(
            ({"pretrained": self.pretrained} if self.pretrained else {})
            | {
                "method": [self.method, self.version],
                "config": as_settings(self.config),
                "dataset": [self.fingerprint, self.spec.shape],
                "public": self.public and self.public.fingerprint,
                "request": None if self.is_real else _as_dict(self.request),
                "budget": [str(self.epsilon), self.delta if self.is_private else None],
                "seed": self.seed,
                "noise seed": self.noise_seed if self.is_private else None,
                "hidden": self.reference in ("real", "nonprivate") and not self.spec.public_benchmark,
            }
        )

    def folder(self, out: Path) -> TrialFolder:
        """OUT/<dataset>/<method>/<key>."""
        return TrialFolder.of(out, self.spec.name, self.method, self.key)

    def as_json(self) -> dict[str, Any]:
        """The specification as JSON-like values; `from_json` reads it."""
        return asdict(self) | {"config": as_settings(self.config), "epsilon": str(self.epsilon)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TrialSpec:
        """The specification that `as_json` wrote, possibly in another process.

        Raises:
            DpbenchError: a field is missing or unknown, or the method is not registered in this process.
        """
        from pydantic import TypeAdapter

        try:
            method = content["method"]
            config: Any = build(RealImages if method == "real" else METHODS.get(method).Config, content["config"])
            typed = {
                "config": config,
                "spec": TypeAdapter(DatasetSpec).validate_python(content["spec"]),
                "public": content["public"] and Source(*content["public"]),
                "request": TypeAdapter(Request).validate_python(content["request"]),
                "epsilon": float(content["epsilon"]),
            }
            return cls(**{**content, **typed})
        except (KeyError, TypeError, ValueError) as error:
            raise DpbenchError(f"this is not the specification of a trial: {type(error).__name__} {error}") from error

    def __str__(self) -> str:
        epsilon = None if self.is_real else self.epsilon
        seed = None if self.is_real else self.seed
        return trial_title(self.method, self.variant, self.spec.name, self.reference, epsilon, seed)
