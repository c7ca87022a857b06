"""Base of the refiners whose network was trained elsewhere: its weights are on disk and are named in the row."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import DataError
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
        if self._network is None:
            self._network = self.load()
        return self._network.to(run.device)

    def state_dict(self) -> dict[str, Tensor]:
        """The SHA-256 of the weights, uint8 [32]; nothing before they are loaded."""
        import torch

        if self._network is None:
            return {}
        return {"sha256": torch.tensor(list(bytes.fromhex(self.source(self.config)[1])), dtype=torch.uint8)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Checks that the weights on disk are those of the saved model.

        Raises:
            DataError: they differ.
        """
        name, sha256 = self.source(self.config)
        saved = bytes(state["sha256"].tolist()).hex()
        if sha256 != saved:
            raise DataError(
                f"the weights '{name}' are not those that the model was saved with (their SHA-256 begins with "
                f"{sha256[:12]}, not {saved[:12]}); put the original ones back"
            )
