"""The base class of public generators: random images, and variations of given ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

from dpbench.core.config import NoSettings
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import ConfigError
from dpbench.core.track import Track

if TYPE_CHECKING:
    from torch import Tensor


C = TypeVar("C")
"""The type of a generator's configuration."""


class Candidates(NamedTuple):
    """Generated images, with what their generator needs to vary them.

    Attributes:
        images: uint8 [n, c, h, w], on the CPU.
        origins: float [n, k], on the CPU, such as the parameters of a simulator; k may be 0.
    """

    images: Tensor
    origins: Tensor

    def select(self, rows: Tensor) -> Candidates:
        """The candidates at `rows`, int64 [m], possibly repeated."""
        return Candidates(self.images[rows], self.origins[rows])


class PublicGenerator(ABC, Generic[C]):
    """A generator that knows public data alone and is not trained further: the backend of Private Evolution.

    `random` and `vary` are the RANDOM_API and the VARIATION_API of the paper (arXiv 2305.15560).

    Args:
        config: an instance of `Config`.
        shape: (channels, height, width) of the images that it makes.
    """

    Config: ClassVar[type] = NoSettings
    paper: ClassVar[str] = ""
    varies_any: ClassVar[bool] = True
    """Whether it varies images that it did not make; see `adopt`."""
    needs_captions: ClassVar[bool] = False
    """Whether its public images must have captions."""

    def __init__(self, config: C, shape: tuple[int, int, int]):
        self.config = config
        self.shape = shape

    @classmethod
    def track_of(cls, config: C) -> Track:
        """The track of a configuration: "images", or "foundation" with weights pretrained elsewhere."""
        return "images"

    @classmethod
    def weights_of(cls, config: C) -> Mapping[str, str]:
        """The weights pretrained elsewhere that a configuration uses: name -> first 12 digits of a file's SHA-256.

        Raises:
            NotInstalled, DataError: they are missing or damaged.
        """
        return {}

    @classmethod
    def check_shape(cls, config: C, shape: tuple[int, int, int]) -> None:
        """Checks, by arithmetic and without torch, that it can make images of this shape.

        Raises:
            ConfigError: it cannot; the message says what to set.
        """

    def prepare(self, public: ImageDataset, run: RunContext) -> None:
        """Learns from public images; slow results are stored in `run.cache`.

        Args:
            public: public images of the shape.
            run: its cache is open.
        """

    @abstractmethod
    def random(self, count: int, run: RunContext) -> Candidates:
        """Random images: `count` candidates. Randomness comes from the run's generator."""

    @abstractmethod
    def vary(self, candidates: Candidates, degree: float, run: RunContext) -> Candidates:
        """One variation of each candidate, in the same order. Randomness comes from the run's generator.

        Args:
            candidates: from `random`, `vary` or `adopt`.
            degree: how far a variation may be from its image, in (0, 1]. At 1, it is as far as a random image, or as
                far as the generator can go; near 0, it hardly changes.
            run: device and generator.
        """

    def adopt(self, images: Tensor) -> Candidates:
        """Candidates from images that the generator did not make.

        Args:
            images: uint8 [n, c, h, w], on the CPU.

        Raises:
            ConfigError: `varies_any` is False.
        """
        import torch

        if not self.varies_any:
            raise ConfigError(f"{type(self).__name__} varies only its own images, and these come from elsewhere")
        return Candidates(images, torch.zeros(len(images), 0))

    def state_dict(self) -> dict[str, Any]:
        """The tensors that `random` and `vary` need in a new process."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores `state_dict()`."""
        if state:
            raise TypeError(f"{type(self).__name__} keeps a state but does not define load_state_dict")
