"""Base of the refiners whose network was trained elsewhere: its weights are on disk and are named in the row."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.refiner import Degrade, Refiner, RefinerSettings
from dpbench.core.track import Track

if TYPE_CHECKING:
    from torch import Tensor

D = TypeVar("D", bound=RefinerSettings)


class DownloadedRefiner(Refiner[D]):
    """A refiner with a network that is loaded as it was published.

    Subclasses define `source` and `load`. The network's training data is unknown, so rows are in the track
    "foundation". A saved model holds the SHA-256 of the weights instead of the weights, which are read again.
    """

    uses_public = False

    def __init__(self, config: D):
        super().__init__(config)
        self._network: Any = None
        self._mark: dict[str, Tensor] = {}

    @classmethod
    @abstractmethod
    def source(cls, config: D) -> tuple[str, str]:
        """The name of the weights, without a folder, and the 64 hexadecimal digits of their SHA-256.

        Raises:
            NotInstalled, DataError: they are missing or damaged.
        """

    @abstractmethod
    def load(self) -> Any:
        """The network, which has a method `to` that takes a device.

        Raises:
            NotInstalled, DataError, ConfigError: the weights are missing, damaged, or those of another network.
        """

    @classmethod
    def track_of(cls, config: D) -> Track:
        """See `Refiner.track_of`."""
        return "foundation"

    @classmethod
    def weights_of(cls, config: D) -> Mapping[str, str]:
        """See `Refiner.weights_of`."""
        name, sha256 = cls.source(config)
        return {name: sha256[:12]}

    def prepare(self, public: ImageDataset, degrade: Degrade, run: RunContext) -> None:
        """Loads the network; see `load`."""
        self.network(run)

    def network(self, run: RunContext) -> Any:
        """The network on the run's device."""
        from dpbench.models.pretrained.weights_mark import mark_of

        if self._network is None:
            self._network = self.load()
            self._mark = mark_of(self.source(self.config)[1])
        return self._network.to(run.device)

    def state_dict(self) -> dict[str, Tensor]:
        """The SHA-256 of the weights, uint8 [32]; nothing before they are loaded or a saved model is restored."""
        return dict(self._mark)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Checks that the weights on disk are those of the saved model; see `checked_mark`.

        Raises:
            NotInstalled, DataError: they are missing or damaged, or differ.
        """
        from dpbench.models.pretrained.weights_mark import checked_mark

        self._mark = checked_mark(state, *self.source(self.config))
