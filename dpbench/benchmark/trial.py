"""A trial: one method, configured and seeded, on one dataset under one budget. What is run, stored and ranked."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from dpbench.benchmark.subject import Subject, dataset_fields, title
from dpbench.core.config import NoSettings, as_settings
from dpbench.core.files import digest
from dpbench.core.specs import Budget, DatasetSpec, Request
from dpbench.core.variants import titled
from dpbench.results.store import safe_name

Reference = Literal["", "real", "public", "nonprivate"]

REFERENCES: dict[str, float] = {"public": 0.0, "nonprivate": math.inf, "real": math.nan}
"""The rows that numbers are read against (rule R8), and their ε."""

FRAME = ("real", "public")
"""Those that frame every table unless other ones are asked for: what could be reached, and what costs no privacy."""


class Source(NamedTuple):
    """Images that a trial depends on, by name and content."""

    name: str
    fingerprint: str


@dataclass(frozen=True)
class Trial:
    """Everything that defines one trial, and how its row is labelled.

    Attributes:
        method: registered name; "real" for real images scored as if they were synthetic.
        version: the method's version.
        track: the method's track.
        config: an instance of the method's `Config`.
        spec: what the sensitive dataset declares.
        fingerprint: of its train split.
        public: the public source, or None for methods that use none.
        request: what will be sampled, fixed before anything is fitted.
        epsilon: 0 for the public reference, infinite for the non-private one, not a number for "real".
        delta: in (0, 1).
        seed: of the experiment's generators; never of DP noise (rule R4).
        reference: which reference row it is, "" for a private trial.
        preset: preset that the configuration started from; a label.
        tuning: what the configuration was tuned on; a label.
        variant: what the user changed of the preset; a label.
        noise_seed: makes the DP noise reproducible, for tests only.
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

    @classmethod
    def real(cls, spec: DatasetSpec, fingerprint: str, request: Request, delta: float) -> Trial:
        """The `real` reference of a dataset."""
        return cls(
            "real", "1", "", NoSettings(), spec, fingerprint, None, request, math.nan, delta, 0, reference="real"
        )

    @property
    def title(self) -> str:
        """Method and variant."""
        return titled(self.method, self.variant)

    @property
    def budget(self) -> Budget:
        """What may be spent."""
        return Budget(self.epsilon, self.delta)

    @property
    def is_private(self) -> bool:
        """Whether it spends a finite, positive ε."""
        return 0 < self.epsilon < math.inf

    @property
    def key(self) -> str:
        """A short hash of what defines the trial."""
        return digest(
            {
                "method": [self.method, self.version],
                "config": as_settings(self.config),
                "dataset": [self.fingerprint, self.spec.shape],
                "public": self.public and self.public.fingerprint,
                "request": None if self.reference == "real" else asdict(self.request),
                "budget": [str(self.epsilon), self.delta if self.is_private else None],
                "seed": self.seed,
                "noise seed": self.noise_seed if self.is_private else None,
                "hidden": self.reference in ("real", "nonprivate") and not self.spec.public_benchmark,
            }
        )

    def folder(self, out: Path) -> Path:
        """OUT/<dataset>/<method>/<key>."""
        return dataset_folder(out, self.spec.name) / safe_name(self.method) / self.key

    def subject(self, out: Path) -> Subject:
        """What is to be scored of it."""
        return Subject.of(self.fields(), self.folder(out))

    def __str__(self) -> str:
        return title(self.fields())

    def fields(self) -> dict[str, Any]:
        """What trial.json says about it before it has run: columns of the row, and the dataset's shape and classes."""
        real = self.reference == "real"
        return {
            "key": self.key,
            "method": self.method,
            "variant": self.variant,
            "reference": self.reference,
            "method_version": self.version,
            "track": self.track,
            **dataset_fields(self.spec, self.fingerprint),
            "epsilon": None if real else self.epsilon,
            "delta": self.delta if self.is_private else None,
            "seed": None if real else self.seed,
            "config": as_settings(self.config),
            "preset": self.preset,
            "tuning": self.tuning,
            "public_source": self.public.name if self.public else None,
            "public_fingerprint": self.public.fingerprint if self.public else None,
        }


def dataset_folder(out: Path, dataset: str) -> Path:
    """OUT/<dataset>."""
    return out / safe_name(dataset)
