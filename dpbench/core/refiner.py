"""The base classes of detail stages: coarse image -> full image, from public data only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import ConfigError, DataError
from dpbench.core.refiner_cost import RefinerCost
from dpbench.core.track import Track

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class RefinerSettings:
    """The settings of every refiner; a refiner's `Config` inherits them."""

    consistency: Literal["none", "project", "blend"] = option(
        "none", "coarse band of the refined image: none: the refiner's; project: the given one; blend: a mixture"
    )
    blend: float = option(0.5, "share of the given coarse band in the mixture of consistency=blend", low=0, high=1)

    @property
    def given_share(self) -> float:
        """The share of the given coarse band in the refined image's."""
        return {"none": 0.0, "project": 1.0, "blend": self.blend}[self.consistency]

    def check_scale(self, scale: int) -> None:
        """Checks these settings for an upsampling factor, before anything is trained.

        Raises:
            ConfigError: they do not fit.
        """


C = TypeVar("C", bound=RefinerSettings)
"""The type of a refiner's configuration."""


class Refiner(ABC, Generic[C]):
    """A detail stage: coarse image -> full image, learned from public data only: free post-processing (rule R7).

    Subclasses define `refine`. Callers call the instance, which also checks the images and restores the coarse band:
    the same division as between `forward` and `__call__` of a torch module.

    Attributes:
        cost: what its preparation and its calls have cost so far.
    """

    Config: ClassVar[type] = RefinerSettings
    paper: ClassVar[str] = ""
    uses_public: ClassVar[bool] = True
    """Whether `prepare` looks at public images."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if not issubclass(cls.Config, RefinerSettings):
            raise TypeError(f"{cls.__name__}.Config must inherit dpbench.RefinerSettings, which holds consistency")

    def __init__(self, config: C):
        self.config = config
        self.cost = RefinerCost()

    @classmethod
    def track_of(cls, config: C) -> Track:
        """The track of a configuration, besides the coarse images; "foundation" with weights pretrained elsewhere."""
        return "images" if cls.uses_public else "none"

    @classmethod
    def weights_of(cls, config: C) -> Mapping[str, str]:
        """The weights pretrained elsewhere that a configuration uses: name -> first 12 digits of a file's SHA-256.

        Called before anything is trained.

        Raises:
            NotInstalled, DataError: they are missing or damaged.
        """
        return {}

    def prepare(self, public: ImageDataset, degrade: Degrade, run: RunContext) -> None:
        """Learns to undo `degrade` on public images.

        Args:
            public: public images of the full size; possibly none where `uses_public` is False.
            degrade: the coarse stage's effect on an image; see `Degrade`.
        """

    @property
    def draws(self) -> int:
        """Maximum number of coarse images that it uses for one full image; see `refine`."""
        return 1

    @abstractmethod
    def refine(self, coarse: Tensor, size: int, run: RunContext) -> Tensor:
        """Adds detail.

        Args:
            coarse: [b, c, h, w], float, nominally in [-1, 1]. A refiner with `draws` > 1 may also get several coarse
                images of one condition, [b, k, c, h, w] with k ≤ `draws`; the first one is refined.
            size: height and width wanted.

        Returns:
            [b, c, size, size], float, nominally in [-1, 1].
        """

    def __call__(self, coarse: Tensor, size: int, run: RunContext) -> Tensor:
        """Calls `refine`, then restores the given coarse band as the setting `consistency` says.

        Of several coarse images of one condition, [b, k, c, h, w], a refiner with one draw sees the first one alone.

        Raises:
            DataError: coarse images are not finite.
            ConfigError: a coarse band is to be restored, but `size` is not a multiple of the coarse size.
        """
        if not bool(coarse.isfinite().all()):
            raise DataError("coarse images contain NaN or infinite values; the coarse stage has diverged")
        given = coarse if coarse.ndim == 4 else coarse[:, 0]
        with self.cost.refining(len(coarse), run.device):
            images = self.refine(given if self.draws == 1 else coarse, size, run)
        share = self.config.given_share
        return with_coarse_band(images, given, share) if share else images

    def state_dict(self) -> dict[str, Tensor]:
        """The refiner's weights."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores `state_dict()`."""
        if state:
            raise TypeError(f"{type(self).__name__} keeps a state but does not define load_state_dict")

    def parameters(self) -> int:
        """Number of its weights; integers in its state, such as sizes, do not count."""
        return sum(t.numel() for t in self.state_dict().values() if t.is_floating_point())


def with_coarse_band(images: Tensor, coarse: Tensor, share: float = 1.0) -> Tensor:
    """The images with their coarse band replaced by `coarse`, fully or by a share; all detail bands stay.

    The orthogonal projection onto the images whose Haar LL band (in pixel units the mean of each block) is the given
    one. The result may leave [-1, 1].

    Args:
        images: [b, c, size, size].
        coarse: [b, c, h, h]; h divides size.
        share: 1 replaces the band, 0 keeps it.

    Raises:
        ConfigError: h does not divide size.
    """
    factor, rest = divmod(images.shape[-1], coarse.shape[-1])
    if rest:
        raise ConfigError(
            f"{coarse.shape[-1]} pixels do not divide {images.shape[-1]}; only refiner.consistency=none works here"
        )
    difference = share * (coarse - block_means(images, factor))
    return images + difference.repeat_interleave(factor, -1).repeat_interleave(factor, -2)


def block_means(images: Tensor, factor: int) -> Tensor:
    """The mean of each block of factor x factor pixels: [b, c, h, w] -> [b, c, h / factor, w / factor]."""
    return images.unflatten(-1, (-1, factor)).unflatten(-3, (-1, factor)).mean((-1, -3))


class Degrade(ABC):
    """The corruption a refiner has to undo: full images -> coarse images as the private coarse stage gives them."""

    key: Any
    """Everything that the corruption depends on (JSON-like), for the public cache."""

    @abstractmethod
    def __call__(self, images: Tensor, generator: Any) -> Tensor:
        """[b, c, size, size] float in [-1, 1] -> coarse [b, c, h, w]; the randomness comes from `generator`."""
