"""The base classes of detail stages: coarse image -> full image, from public data only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from dpbench.core.config import NoSettings
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset

if TYPE_CHECKING:
    from torch import Tensor

C = TypeVar("C")
"""The type of a refiner's configuration."""


class Refiner(ABC, Generic[C]):
    """A detail stage: coarse image -> full image, learned from public data only: free post-processing (rule R7)."""

    Config: ClassVar[type] = NoSettings
    paper: ClassVar[str] = ""

    def __init__(self, config: C):
        self.config = config

    def prepare(self, public: ImageDataset, degrade: Degrade, run: RunContext) -> None:
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
