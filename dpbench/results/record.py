"""The record of a trial: the typed content of trial.json. A row takes its facts about a trial from here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from typing import Any, ClassVar, Final, Literal

from dpbench.core.errors import DpbenchError
from dpbench.core.specs import DatasetSpec
from dpbench.core.typed_json import first_problem
from dpbench.core.variants import titled
from dpbench.results.rounding import budget

FORMAT = 2
"""Version of trial.json. dpbench 0.1 wrote none."""

ADDED = frozenset(
    {
        "method_source",
        "source_hash",
        "pretrained",
        "prompts",
        "refiner_seconds_prepare",
        "refiner_seconds_per_image",
        "refiner_parameters",
        "refiner_memory_mb",
        "public_choice",
    }
)
"""Fields that records of the same format by an earlier version lack. They get their defaults; the source's hash is then
None, for unknown."""

CLAIMED: Final = "claimed, unverified"
"""The accounting of images that dpbench did not make."""


class OtherFormat(DpbenchError):
    """A record that another version of dpbench wrote: it is intact, and must not be replaced."""


BEFORE, AFTER = "before the metrics", "after the metrics"


def column(help: str, default: Any = ..., place: str = BEFORE, name: str = "") -> Any:
    """A field that is a column of the leaderboard.

    Args:
        help: what the column means.
        default: the value for a trial to which the column does not apply; without a default, every trial has a value.
        place: whether the column is before or after the metrics.
        name: the name of the column, if it differs from the field's.
    """
    metadata = {"help": help, "place": place, "column": name}
    return field(metadata=metadata) if default is ... else field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """The facts about a sampled trial. None: does not apply.

    Fields made by `column` are columns of the leaderboard, in its order.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    method: str = column("method; 'real' for real images scored as if synthetic, a name for external images")
    variant: str = column("settings changed relative to the preset, e.g. 'codes=128,steps=50'", "")
    reference: Literal["", "real", "public", "nonprivate", "external"] = column(
        "'' | 'real' | 'public' (ε = 0) | 'nonprivate' (ε = ∞) | 'external' (made elsewhere)"
    )
    method_version: str = column("version of the method's code", "")
    method_source: str = column("where the method comes from: 'dpbench', a package and its version, or a file", "")
    source_hash: str | None = column("hash of the code outside dpbench behind the trial; empty if there is none", None)
    track: str = column("public knowledge used: 'none' | 'images' | 'foundation'", "")
    dataset: str = column("sensitive dataset")
    dataset_fingerprint: str = column("hash of train (keyed with a secret unless the dataset is public)")
    resolution: int = column("height and width in pixels")
    n_train: int = column("records of the sensitive split")
    epsilon: float | None = column("requested or claimed ε; 0: nothing private, inf: no noise")
    delta: float | None = column("requested or claimed δ", None)
    epsilon_spent: float | None = column("ε of all releases, by PLD; empty if the accounting is unverified", None)
    epsilon_rdp: float | None = column("ε of the same releases by Rényi accounting", None)
    mu: float | None = column("μ of the same releases by Gaussian DP: comparable at any δ of at least 1e-10", None)
    epsilon_at_second_delta: float | None = column(
        "ε of the same releases at δ = 1e-5, by PLD: comparable between different δ", None, name="epsilon_at_1e-5"
    )
    neighbouring: str = column("neighbouring relation of the guarantee", "")
    accountant: str = column("accountant of the stated ε", "")
    accounting: Literal["", "verified", "unverified", "claimed, unverified"] = column(
        f"'verified', 'unverified' if records were touched outside mechanisms, or '{CLAIMED}'", ""
    )
    noise: Literal["", "secret", "reproducible"] = column(
        "'secret' | 'reproducible' (tests only) | '' if no noise was drawn", ""
    )
    tuning: str = column("the data that the settings were tuned on", "")
    preset: str = column("preset that the settings started from", "")
    seed: int | None = column("experiment seed; the privacy noise never depends on it", None)
    config: dict[str, Any] = column("all settings, as JSON")
    public_source: str = column("public images used; auto:A,B if private images chose between A and B", "")
    public_choice: str = column("the public source that private images chose; empty if they chose none", "")
    public_fingerprint: str = column("hash of the public images", "")
    pretrained: str = column("external pretrained weights: name@hash; empty if there are none", "")
    prompts: str = column(
        "where sampling prompts come from: 'test captions', 'the dataset's', or a file and its hash", ""
    )
    parameters_private: int | None = column("generator parameters trained on private data", None)
    parameters_total: int | None = column("generator parameters", None)
    queries: int | None = column("DP releases spent: one for a noisy sum, one for every step of DP-SGD", None)

    seconds_prepare: float | None = column(
        "public pretraining; if it came from the cache, as measured when it was made", None, place=AFTER
    )
    seconds_fit: float | None = column("private phase, over all attempts", None, place=AFTER)
    seconds_sample: float | None = column("sampling, over all attempts", None, place=AFTER)
    peak_memory_mb: float | None = column(
        "peak of device memory; on a CPU, of the process's memory (since the process began, except on Linux)",
        None,
        place=AFTER,
    )
    refiner_seconds_prepare: float | None = column(
        "public training of the detail stage; if it came from the cache, as measured when it was made",
        None,
        place=AFTER,
    )
    refiner_seconds_per_image: float | None = column("detail stage, seconds per image", None, place=AFTER)
    refiner_parameters: int | None = column("weights of the detail stage", None, place=AFTER)
    refiner_memory_mb: float | None = column(
        "increase of the peak memory by the detail stage; 0 if an earlier phase needed more", None, place=AFTER
    )
    device: str = column("where it ran", place=AFTER)
    computed_in: str = column("compute precision of the models: 'fp32' | 'bf16'", place=AFTER)
    dpbench_version: str = column("version of dpbench", place=AFTER)
    git_commit: str = column("commit of dpbench, if it runs from a repository", place=AFTER)
    date: str = column("when the trial was sampled, UTC", place=AFTER)
    key: str = column("hash of everything that defines the trial; its folder's name", place=AFTER)

    n_test: int
    channels: int
    classes: tuple[str, ...] | None
    caption_bytes: int
    public_benchmark: bool
    request: dict[str, Any]
    unverified: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    format: int = FORMAT

    @classmethod
    def from_json(cls, content: Any) -> TrialRecord:
        """The record that trial.json holds.

        Raises:
            DpbenchError: a field is missing, unknown or of the wrong type, or another version of dpbench wrote it.
        """
        from pydantic import ValidationError

        if not isinstance(content, dict):
            raise DpbenchError("it is damaged")
        if "format" not in content and {"key", "dpbench_version"} <= content.keys():
            raise OtherFormat(
                f"it was written by dpbench {content['dpbench_version']}, whose results this version cannot read; "
                "move its folder away, or use another --out"
            )
        names = {f.name: None for f in fields(cls)}
        if missing := [name for name in names if name not in content and name not in ADDED]:
            raise DpbenchError(f"it is damaged (there is no {missing[0]})")
        if unknown := [name for name in content if name not in names]:
            raise OtherFormat(
                f"it has a field '{unknown[0]}' that this version of dpbench does not know: use the version that wrote "
                f"it, {content['dpbench_version']}, or a later one"
            )
        try:
            record = _adapter().validate_python(content)
        except ValidationError as error:
            raise DpbenchError(f"it is damaged ({first_problem(error)})") from error
        if record.format != FORMAT:
            raise DpbenchError(f"it has format {record.format}, and this version of dpbench reads format {FORMAT}")
        return record

    def as_json(self) -> dict[str, Any]:
        """The record as JSON-like values, which `from_json` reads."""
        return asdict(self)

    @property
    def spec(self) -> DatasetSpec:
        """The dataset's declaration."""
        return DatasetSpec(
            self.dataset,
            self.channels,
            self.resolution,
            self.n_train,
            self.n_test,
            self.classes,
            self.public_benchmark,
            self.caption_bytes,
        )

    @property
    def has_model(self) -> bool:
        """Whether a model of dpbench drew its images; otherwise they are real, or other programs made them."""
        return self.reference not in ("real", "external")

    @property
    def is_sensitive(self) -> bool:
        """Whether model and samples must stay in `sensitive/`; see `is_sensitive`."""
        return is_sensitive(self.public_benchmark, self.reference, self.epsilon, self.accounting, self.noise)

    def __str__(self) -> str:
        return trial_title(self.method, self.variant, self.dataset, self.reference, self.epsilon, self.seed)


def dataset_fields(spec: DatasetSpec, fingerprint: str) -> dict[str, Any]:
    """The record's fields on the sensitive dataset.

    Args:
        fingerprint: the fingerprint of its train split, as shown in rows.
    """
    return {
        "dataset": spec.name,
        "dataset_fingerprint": fingerprint,
        "resolution": spec.resolution,
        "channels": spec.channels,
        "classes": spec.classes,
        "caption_bytes": spec.caption_bytes,
        "public_benchmark": spec.public_benchmark,
        "n_train": spec.n_train,
        "n_test": spec.n_test,
    }


def is_sensitive(public_benchmark: bool, reference: str, epsilon: float | None, accounting: str, noise: str) -> bool:
    """Whether a trial's model and samples must stay in `sensitive/` (rule R9).

    They must if the dataset is not declared public and no verified, finite ε with secret noise protects it.
    """
    is_protected = (
        epsilon is not None and math.isfinite(epsilon) and accounting != "unverified" and noise != "reproducible"
    )
    return not public_benchmark and reference != "real" and not is_protected


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(TrialRecord)


def trial_title(
    method: str, variant: str, dataset: str, reference: str, epsilon: float | None, seed: int | None
) -> str:
    """A trial's readable name: "wavelet [codes=128] ε=10 (nonprivate) seed 0"."""
    if reference == "real":
        return f"real images of {dataset}"
    parts = [
        titled(method, variant),
        "" if epsilon is None else f"ε={budget(epsilon)}",
        f"({reference})" if reference else "",
        "" if seed is None else f"seed {seed}",
    ]
    return " ".join(filter(None, parts))


@cache
def columns(place: str) -> list[tuple[str, str, str, str]]:
    """(column, field, type, help) of every column at a place, in order.

    Args:
        place: `BEFORE` or `AFTER` the metrics.
    """
    return [
        (f.metadata["column"] or f.name, f.name, _column_type(str(f.type)), f.metadata["help"])
        for f in fields(TrialRecord)
        if f.metadata.get("place") == place
    ]


def _column_type(annotation: str) -> str:
    return next((name for name in ("int", "float") if annotation.startswith(name)), "str")


def row_of(record: TrialRecord) -> Mapping[str, Any]:
    """Column -> value of every column that comes from the record."""
    return {name: getattr(record, attribute) for place in (BEFORE, AFTER)
            for name, attribute, _, _ in columns(place)}  # fmt: skip
