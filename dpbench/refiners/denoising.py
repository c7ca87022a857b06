"""Settings of the refiners with a diffusion model: its U-Net, its training noise and its sampler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from dpbench.core.config import option
from dpbench.core.errors import ConfigError
from dpbench.models.unet_config import UNetConfig
from dpbench.refiners.trained import TrainingConfig

if TYPE_CHECKING:
    from dpbench.models.edm import NoiseConfig, SamplerConfig


@dataclass(frozen=True)
class DenoisingConfig(TrainingConfig):
    """Settings of a diffusion model in the EDM formulation; a refiner's `Config` may change the defaults."""

    sampling: ClassVar[tuple[str, ...]] = ("sampling_steps", "sigma_min", "sigma_max")

    batch: int = option(32, "public images per step", low=1)
    ema: float | None = option(
        0.995, "decay of the exponential moving average of the weights; none disables it", low=0, below=1
    )
    channels: tuple[int, ...] = option((32, 32, 64), "channels of the U-Net's levels, finest first", low=1)
    layers: int = option(1, "residual blocks per level of the U-Net", low=1)
    patch: int = option(2, "side of the pixel patches folded into the U-Net's input channels", low=1)
    p_mean: float = option(-1.2, "mean of ln σ for the training noise levels", low=-10, high=10)
    p_std: float = option(1.2, "standard deviation of ln σ for the training noise levels", above=0, high=10)
    sampling_steps: int = option(5, "network evaluations per image", low=1)
    sigma_min: float = option(0.1, "smallest noise level; short training leaves noise at smaller ones", above=0)
    sigma_max: float = option(80.0, "largest noise level", above=0)

    def __post_init__(self) -> None:
        if self.sigma_min >= self.sigma_max:
            raise ConfigError(f"sigma_min = {self.sigma_min:g} must be below sigma_max = {self.sigma_max:g}")
        _ = self.unet  # the constructor checks the sizes

    @property
    def unet(self) -> UNetConfig:
        """Sizes of the U-Net."""
        return UNetConfig(self.channels, self.layers, attention=0, patch=self.patch)

    @property
    def noise(self) -> NoiseConfig:
        """The training noise levels."""
        from dpbench.models.edm import NoiseConfig

        return NoiseConfig(self.p_mean, self.p_std)

    def sampler_with(self, solver: Literal["ddim", "dpm-solver"]) -> SamplerConfig:
        """The settings of a sampler with this solver."""
        from dpbench.models.edm import SamplerConfig

        return SamplerConfig(solver, self.sampling_steps, self.sigma_min, sigma_max=self.sigma_max)
