"""The base classes a plugin fills in: Method, Refiner, Metric, Extractor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FunctionType, MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.seal import opens_nothing
from dpbench.core.specs import Conditions, DatasetSpec, Request

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dpbench.evaluation.features import Features
    from dpbench.privacy.plan import Plan
    from dpbench.privacy.private_data import PrivateData


@dataclass(frozen=True)
class NoSettings:
    """The configuration of a plugin that has nothing to set."""


@dataclass(frozen=True)
class Preset:
    """A named set of settings, and what they were tuned on ("untuned", "public data", "hold-out of mnist train")."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    tuning: str = "untuned"


OUTSIDE_PHASES = ("__init__", "plan", "state_dict", "load_state_dict", "parameters")
"""What is called of a method outside `prepare`, `fit` and `sample`: under a seal that closes every dataset."""


class Method(ABC):
    """A differentially private image generator.

    The harness calls `plan`, `prepare`, `fit`, `sample` in this order. `fit` is the only one that meets private data,
    and only through the queries of `PrivateData` that `plan` declared. The first docstring line is what
    `dpbench list methods` prints, the whole docstring what `dpbench show` prints.

    Args:
        config: an instance of `Config`.
        spec: what the dataset declares.
    """

    Config: ClassVar[type] = NoSettings
    version: ClassVar[str] = "1"
    track: ClassVar[Literal["none", "images", "foundation"]] = "none"
    paper: ClassVar[str] = ""
    presets: ClassVar[Mapping[str, Preset]] = MappingProxyType({"small": Preset()})
    """Preset name -> settings over `Config`'s defaults; "small/mnist" refines "small" for that dataset."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, value in list(vars(cls).items()):
            if name in OUTSIDE_PHASES and isinstance(value, FunctionType):
                setattr(cls, name, opens_nothing(value))

    def __init__(self, config: Any, spec: DatasetSpec):
        self.config = config
        self.spec = spec

    @abstractmethod
    def plan(self, request: Request) -> Plan:
        """Every mechanism that `fit` will use. Must not look at data; free noise multipliers are calibrated.

        Called more than once, and always under a seal that closes every dataset.

        Raises:
            ConfigError: the configuration does not suit the dataset (resolution, number of records ...).
        """

    def prepare(self, public: ImageDataset | None, run: RunContext) -> None:  # noqa: B027 (optional hook)
        """Public pretraining: free, cached in `run.cache`, and alone enough to `sample` for the `public` reference.

        Args:
            public: public images of the sensitive images' shape; None for methods of track "none".
        """

    @abstractmethod
    def fit(self, private: PrivateData, run: RunContext) -> None:
        """Learns from the private records through `private.noisy_sum`, `.dp_sgd` and `.derive`."""

    @abstractmethod
    def sample(self, conditions: Conditions, run: RunContext) -> Tensor:
        """Generates images: uint8 [conditions.count, c, h, w], one per condition. Called in chunks."""

    def state_dict(self) -> dict[str, Tensor]:
        """What a finished trial keeps, enough for `load_state_dict` and `sample` in a new process."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores `state_dict()`."""
        if state:
            raise TypeError(f"{type(self).__name__} keeps a state but does not define load_state_dict")

    def parameters(self) -> tuple[int, int]:
        """(numbers trained privately, numbers in total) of the generator, for the leaderboard."""
        total = sum(t.numel() for t in self.state_dict().values())
        return total, total


class Refiner(ABC):
    """A detail stage: coarse image -> full image, learnt from public data only: free by post-processing (rule R7)."""

    Config: ClassVar[type] = NoSettings
    paper: ClassVar[str] = ""

    def __init__(self, config: Any):
        self.config = config

    def prepare(self, public: ImageDataset, degrade: Degrade, run: RunContext) -> None:  # noqa: B027 (optional hook)
        """Learns to undo `degrade` on public images.

        Args:
            public: public images of the full size.
            degrade: what the coarse stage does to an image; see `Degrade`.
        """

    @abstractmethod
    def refine(self, coarse: Tensor, size: int, run: RunContext) -> Tensor:
        """Adds detail.

        Args:
            coarse: [b, c, h, w], float, nominally in [-1, 1].
            size: height and width wanted.

        Returns:
            [b, c, size, size], float, nominally in [-1, 1].
        """

    def state_dict(self) -> dict[str, Tensor]:
        """The refiner's weights."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores `state_dict()`."""
        if state:
            raise TypeError(f"{type(self).__name__} keeps a state but does not define load_state_dict")


class Degrade(ABC):
    """The corruption a refiner has to undo: full images -> coarse images as the private coarse stage gives them."""

    key: Any
    """What the corruption depends on (JSON-like), for the public cache."""

    @abstractmethod
    def __call__(self, images: Tensor, generator: Any) -> Tensor:
        """[b, c, size, size] float in [-1, 1] -> coarse [b, c, h, w]; the randomness comes from `generator`."""


@dataclass(frozen=True)
class Column:
    """One leaderboard column of a metric."""

    name: str
    better: Literal["high", "low"]
    help: str


class Estimate(NamedTuple):
    """A score and how far another draw of as many images would move it.

    Attributes:
        value: the score.
        ci95: half the width of its 95% bootstrap interval over images; see `evaluation.intervals`.
    """

    value: float
    ci95: float


class Evaluation(ABC):
    """What a metric may look at: images, and features that all metrics share.

    Attributes:
        spec: what the dataset declares.
        synthetic: the images that are scored, labelled with the conditions they were sampled with.
        reference: the real images that they are compared with: the test split.
        run: device, progress, and a generator that is the metric's own.
    """

    spec: DatasetSpec
    synthetic: ImageDataset
    reference: ImageDataset
    run: RunContext

    @property
    @abstractmethod
    def train(self) -> ImageDataset:
        """The sensitive split, for metrics that declare `reads_train`.

        Raises:
            DpbenchError: the metric does not declare it.
            MissingScore: it is not at hand.
        """

    @abstractmethod
    def extractor(self, name: str) -> Extractor:
        """The named extractor, loaded once.

        Raises:
            UnknownName: no extractor has that name.
            DpbenchError: it was trained on train, and the metric does not declare `reads_train`.
            MissingScore: it cannot be had here (weights are missing, the resolution does not suit).
        """

    @abstractmethod
    def features(self, extractor: str) -> tuple[Features, Features]:
        """(synthetic, reference) features of the named extractor, computed once for all metrics.

        Raises:
            UnknownName, DpbenchError, MissingScore: as `extractor`.
        """

    @abstractmethod
    def train_features(self, extractor: str) -> Features:
        """Features of `train`.

        Raises:
            UnknownName, DpbenchError, MissingScore: as `extractor` and `train`.
        """

    @abstractmethod
    def keep(self, name: str, key: Any, make: Callable[[torch.Generator], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """What was learnt from real images for measuring (a classifier), made once; see `PublicCache.get`.

        Shared by all trials on a dataset that is a public benchmark; forgotten after the trial otherwise (rule R9).
        """


class Extractor(ABC):
    """A fixed function from images to features: what metrics see instead of pixels.

    Args:
        evaluation: gives the shape of the images and the device; no images are read from it where `reads_train` is
            false.

    Raises:
        MissingScore: it cannot be had here (weights are missing, the resolution does not suit); the reason is recorded.
    """

    reads_train: ClassVar[bool] = False
    """Whether it was trained on the sensitive split: only for metrics that declare the same."""
    batch: ClassVar[int] = 256
    """How many images it takes at once: what fits a small GPU with all activations."""
    description: str
    """Everything that its features depend on besides the images (weights' hash, resizing), as it stands in the row."""

    def __init__(self, evaluation: Evaluation):
        self.spec = evaluation.spec

    @abstractmethod
    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [b, c, h, w] on the evaluation's device -> float32 [b, ...], each image's independent of the others."""


class Metric(ABC):
    """A family of numbers that says how good synthetic images are."""

    columns: ClassVar[tuple[Column, ...]]
    """The first one stands for the family in the table on a screen, if `headline` is true."""
    default: ClassVar[bool] = True
    """Whether it is computed where no metrics are named."""
    headline: ClassVar[bool] = True
    """Whether the table on a screen shows its first column."""
    reads_train: ClassVar[bool] = False
    """Whether it looks at the sensitive split: for datasets that are no public benchmark it is not shown (rule R9)."""
    real_stand_in: ClassVar[Literal["test half", "train"]] = "test half"
    """What stands in for synthetic images in the `real` row: one half of test (against the other), or train."""
    protocol: ClassVar[str] = ""
    """What the numbers depend on besides images and features; stands in the row, and scores of another are outdated."""

    @abstractmethod
    def compute(self, evaluation: Evaluation) -> Mapping[str, float | Estimate]:
        """Column name -> value, with its bootstrap interval where there is one.

        Raises:
            MissingScore: it cannot be computed here (no classes, no weights ...); the reason goes into the row.
        """
