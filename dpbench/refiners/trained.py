"""Base of the refiners that train one network on public images: settings, caching, state and the check of sizes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import ConfigError
from dpbench.core.refiner import Degrade, Refiner, RefinerSettings
from dpbench.training.augmentation import Augmentation

if TYPE_CHECKING:
    from torch import Tensor

    from dpbench.refiners.networks.training import RefinerNetwork


@dataclass(frozen=True)
class TrainingConfig(RefinerSettings):
    """Training settings; a refiner's `Config` inherits them and may change the defaults."""

    sampling: ClassVar[tuple[str, ...]] = ()
    """Names of the sampling settings, which trained weights do not depend on."""

    steps: int = option(1000, "public training steps", low=1)
    batch: int = option(64, "public images per step", low=1)
    lr: float = option(2e-3, "peak learning rate of Adam", above=0, high=10)
    ema: float | None = option(
        None, "decay of the exponential moving average of the weights; none disables it", low=0, below=1
    )
    augmentation: Augmentation = option("flip", "augmentation of public images")

    def training_settings(self) -> dict[str, Any]:
        """The settings that trained weights depend on."""
        free = {*self.sampling, *RefinerSettings.__dataclass_fields__}
        return {key: value for key, value in asdict(self).items() if key not in free}


T = TypeVar("T", bound=TrainingConfig)


class TrainedRefiner(Refiner[T]):
    """A refiner with one network, trained on public images once per cache key.

    Subclasses construct the network.
    """

    name: ClassVar[str]
    """Name of the refiner in cache entries and messages."""

    measured: ClassVar[int] = 1
    """Number of public images passed to `RefinerNetwork.measure` before training."""

    def __init__(self, config: T):
        super().__init__(config)
        self._network: RefinerNetwork | None = None

    @abstractmethod
    def network(self, channels: int, scale: int) -> RefinerNetwork:
        """An untrained network that upsamples coarse images by the factor `scale`."""

    def prepare(self, public: ImageDataset, degrade: Degrade, run: RunContext) -> None:
        """See `Refiner.prepare`; cached."""
        from dpbench.refiners.networks.training import trained_weights

        settings = self.config.training_settings()
        key = {"public": public.fingerprint, "degrade": degrade.key, "refiner": settings, "version": 1}
        self.load_state_dict(
            run.cache.get(self.name, key, lambda g: trained_weights(self, public, degrade, replace(run, generator=g)))
        )

    def refine(self, coarse: Tensor, size: int, run: RunContext) -> Tensor:
        """See `Refiner.refine`.

        Raises:
            ConfigError: the network is not trained for this scale.
        """
        if self._network is None or self._network.scale * coarse.shape[-1] != size:
            raise ConfigError(f"the {self.name} refiner is not trained for {coarse.shape[-1]} -> {size} pixels")
        return self._network.to(run.device).eval().refine(coarse, run).clamp(-1, 1)

    def state_dict(self) -> dict[str, Tensor]:
        """See `Refiner.state_dict`."""
        return {} if self._network is None else dict(self._network.state_dict())

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """See `Refiner.load_state_dict`."""
        self._network = self.network(*state["channels_and_scale"].tolist())
        self._network.load_state_dict(dict(state))
