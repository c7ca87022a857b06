"""What is scored: a trial's samples, whatever made them, with all that scoring has to know of the trial."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpbench.core.errors import DpbenchError
from dpbench.core.specs import DatasetSpec
from dpbench.core.variants import titled
from dpbench.results.store import SENSITIVE, TRIAL, UNSCORED, holds, read_trial


@dataclass(frozen=True)
class Subject:
    """A trial as its trial.json tells of it, or will tell.

    Attributes:
        folder: the trial's own.
        key: the trial's.
        title: how people read it.
        dataset: the sensitive dataset's name.
        fingerprint: of its train split.
        resolution: of the images.
        public_benchmark: whether the dataset is declared public.
        reference: which reference row it is, "external" for images from elsewhere, "" for a private trial.
        epsilon: spent, or claimed; not a number where there is none.
        seed: of the experiment's generators.
        accounting: what is known of it after the private phase; "" before.
    """

    folder: Path
    key: str
    title: str
    dataset: str
    fingerprint: str
    resolution: int
    public_benchmark: bool
    reference: str
    epsilon: float
    seed: int
    accounting: str = ""

    @classmethod
    def of(cls, fields: Mapping[str, Any], folder: Path) -> Subject:
        """The subject that trial.json's fields describe."""
        return cls(
            folder,
            str(fields["key"]),
            title(fields),
            str(fields["dataset"]),
            str(fields["dataset_fingerprint"]),
            int(fields["resolution"]),
            bool(fields["public_benchmark"]),
            str(fields["reference"]),
            _epsilon(fields),
            int(fields["seed"] or 0),
            str(fields.get("accounting") or ""),
        )

    @classmethod
    def read(cls, folder: Path) -> Subject:
        """The finished trial in a folder.

        Raises:
            DpbenchError: its trial.json is missing or damaged.
        """
        try:
            return cls.of(read_trial(folder), folder)
        except (KeyError, TypeError, ValueError) as error:
            raise DpbenchError(f"{folder / TRIAL} is damaged: {type(error).__name__} {error}") from error

    def as_sampled(self) -> Subject:
        """The same, as trial.json or unscored.json tell of it: with what is known since its private phase.

        Raises:
            DpbenchError: the file is missing or damaged.
        """
        return self.of(read_trial(self.folder, TRIAL if self.is_finished else UNSCORED), self.folder)

    @property
    def is_sensitive(self) -> bool:
        """Whether what was made must stay in `sensitive/`: nothing proves that noise hides undeclared data (rule R9).

        Known after the private phase, as it may touch records outside the mechanisms.
        """
        is_protected = math.isfinite(self.epsilon) and self.accounting != "unverified"
        return not self.public_benchmark and self.reference != "real" and not is_protected

    @property
    def home(self) -> Path:
        """Where the trial's model and samples belong, once `is_sensitive` is known."""
        return self.folder / SENSITIVE if self.is_sensitive else self.folder

    @property
    def workplace(self) -> Path:
        """Where checkpoints lie, and whatever a method writes while it works: of undeclared data, in `sensitive/`."""
        return self.folder if self.public_benchmark else self.folder / SENSITIVE

    @property
    def is_sampled(self) -> bool:
        """Whether nothing but scores may be missing."""
        return self.is_finished or holds(self.folder, self.key, UNSCORED)

    @property
    def is_finished(self) -> bool:
        """Whether it has been sampled and scored."""
        return holds(self.folder, self.key)

    def __str__(self) -> str:
        return self.title


def title(fields: Mapping[str, Any]) -> str:
    """How people read a trial: "wavelet [codes=128] ε=10 seed 0"."""
    if fields["reference"] == "real":
        return f"real images of {fields['dataset']}"
    epsilon = _epsilon(fields)
    parts = [
        titled(fields["method"], fields.get("variant") or ""),
        "" if math.isnan(epsilon) else "ε=∞" if math.isinf(epsilon) else f"ε={epsilon:g}",
        f"({fields['reference']})" if fields["reference"] else "",
        "" if fields["seed"] is None else f"seed {fields['seed']}",
    ]
    return " ".join(filter(None, parts))


def dataset_fields(spec: DatasetSpec, fingerprint: str) -> dict[str, Any]:
    """What trial.json says about the dataset.

    Args:
        fingerprint: of its train split.
    """
    return {
        "dataset": spec.name,
        "dataset_fingerprint": fingerprint,
        "resolution": spec.resolution,
        "channels": spec.channels,
        "classes": spec.classes,
        "public_benchmark": spec.public_benchmark,
        "n_train": spec.n_train,
    }


def _epsilon(fields: Mapping[str, Any]) -> float:
    return math.nan if fields["epsilon"] is None else float(fields["epsilon"])
