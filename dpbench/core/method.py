"""The base class of methods: differentially private image generators."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from dpbench.core.config import NoSettings
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import ConfigError
from dpbench.core.refiner import Refiner
from dpbench.core.specs import Condition, Conditions, DatasetSpec, Request
from dpbench.core.track import Track

if TYPE_CHECKING:
    from torch import Tensor

    from dpbench.privacy.plan import Plan
    from dpbench.privacy.private_data import PrivateData

C = TypeVar("C")
"""The type of a method's configuration."""


@dataclass(frozen=True)
class Preset:
    """A named set of settings, and what they were tuned on ("untuned", "public data", "hold-out of mnist train")."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    tuning: str = "untuned"


class Method(ABC, Generic[C]):
    """A differentially private image generator.

    The harness calls `plan` of the class, then `prepare`, `prepare_sampling`, `fit` and `sample` of an instance, in
    this order. Only `fit` sees private data, and only through the queries of `PrivateData` that `plan` declared.
    `dpbench list methods` prints the first docstring line, `dpbench show` the whole docstring.

    Args:
        config: an instance of `Config`.
        spec: what the dataset declares.
    """

    Config: ClassVar[type] = NoSettings
    version: ClassVar[str] = "1"
    track: ClassVar[Track] = "none"
    paper: ClassVar[str] = ""
    conditions: ClassVar[frozenset[Condition]] = frozenset({"none", "classes"})
    """What the records of its datasets may have besides their images: "none", "classes", "captions"."""
    presets: ClassVar[Mapping[str, Preset]] = MappingProxyType({"small": Preset()})
    """Preset name -> settings over `Config`'s defaults; "small/mnist" refines "small" for that dataset."""

    def __init__(self, config: C, spec: DatasetSpec):
        self.config = config
        self.spec = spec

    @classmethod
    def track_of(cls, config: C) -> Track:
        """The track of a configuration: `track`, unless a setting brings in weights pretrained elsewhere."""
        return cls.track

    @property
    def refiner(self) -> Refiner[Any] | None:
        """The detail stage that `prepare_sampling` prepares, or None; the row states its cost."""
        return None

    @property
    def public_choice(self) -> str:
        """The name of the public source that private records chose in `fit`; "" if none was chosen."""
        return ""

    @classmethod
    def weights_of(cls, config: C) -> Mapping[str, str]:
        """The weights pretrained elsewhere that a configuration uses: name -> first 12 digits of a file's SHA-256.

        Called before anything is trained.

        Raises:
            NotInstalled, DataError: they are missing or damaged.
        """
        return {}

    @classmethod
    @abstractmethod
    def plan(cls, config: C, spec: DatasetSpec, request: Request) -> Plan:
        """Every mechanism that `fit` will use. Must not look at data; free noise multipliers are calibrated.

        Called more than once, always while every dataset is closed. It is a class method and builds no network: check
        sizes by arithmetic.

        Args:
            config: an instance of `Config`.
            spec: what the dataset declares.
            request: what will be sampled.

        Raises:
            ConfigError: the configuration does not suit the dataset (resolution, number of records ...).
        """

    def prepare(self, public: ImageDataset | None, run: RunContext) -> None:
        """Public pretraining: costs no privacy and is cached in `run.cache`.

        For the `public` reference, `sample` follows without `fit`.

        Args:
            public: public images of the sensitive images' shape; None for methods of track "none".
        """

    def prepare_sampling(self, public: ImageDataset | None, run: RunContext) -> None:
        """Public pretraining of parts that only `sample` needs, such as a refiner. Called after `prepare`, like it.

        Not called where nothing is sampled (a rehearsal, an audit).
        """

    @abstractmethod
    def fit(self, private: PrivateData, run: RunContext) -> None:
        """Learns from the private records through `private.noisy_sum`, `.dp_sgd` and `.derive`."""

    @abstractmethod
    def sample(self, conditions: Conditions, run: RunContext) -> Tensor:
        """Generates images: uint8 [conditions.count, c, h, w], one per condition. Called in chunks."""

    def state_dict(self) -> dict[str, Tensor]:
        """The state that a finished trial keeps: enough for `load_state_dict` and `sample` in a new process."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores `state_dict()`."""
        if state:
            raise TypeError(f"{type(self).__name__} keeps a state but does not define load_state_dict")

    def parameters(self) -> tuple[int, int]:
        """The generator's parameter counts for the leaderboard: (privately trained, total)."""
        total = sum(t.numel() for t in self.state_dict().values())
        return total, total


def required(public: ImageDataset | None) -> ImageDataset:
    """The public images that `Method.prepare` was given.

    Raises:
        ConfigError: there are none.
    """
    if public is None:
        raise ConfigError("the method learns from public images; name a source with --public")
    return public
