"""Plug-and-play restoration with a low-rank prior and a deep denoiser (H-PnP, arXiv 2005.07902)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dpbench.core.config import option
from dpbench.core.errors import ConfigError
from dpbench.refiners.trained import TrainedRefiner, TrainingConfig

if TYPE_CHECKING:
    from dpbench.refiners.networks.low_rank_and_deep import LowRankAndDeep


@dataclass(frozen=True)
class PlugAndPlayConfig(TrainingConfig):
    """Settings of the plug-and-play refiner. The paper has patches of 7 x 7, 60 neighbours and a window of 20."""

    sampling: ClassVar[tuple[str, ...]] = (
        "patch", "neighbours", "window", "stride", "iterations", "sigma_max", "sigma_min", "deep",
    )  # fmt: skip

    steps: int = option(600, "public training steps of the denoiser", low=1)
    width: int = option(48, "channels of the denoiser", low=1)
    depth: int = option(4, "residual blocks of the denoiser", low=1)
    patch: int = option(5, "side of the patches of the low-rank prior", low=1)
    neighbours: int = option(30, "similar patches per group", low=2)
    window: int = option(20, "side of the window that is searched for similar patches", low=2)
    stride: int = option(4, "distance between the patches around which groups are formed", low=1)
    iterations: int = option(8, "steps of the optimisation", low=1)
    sigma_max: float = option(0.5, "noise level of the first step, for images in [-1, 1]", above=0)
    sigma_min: float = option(0.05, "noise level of the last step", above=0)
    deep: float = option(0.5, "share of the denoiser in the mean with the low-rank estimate", low=0, high=1)

    def __post_init__(self) -> None:
        if self.sigma_min > self.sigma_max:
            raise ConfigError(f"sigma_min = {self.sigma_min:g} must not be above sigma_max = {self.sigma_max:g}")
        if self.stride > self.patch:
            raise ConfigError(f"stride = {self.stride} must not be above patch = {self.patch}, or pixels are left out")

    @property
    def sigmas(self) -> list[float]:
        """The noise level of each step, falling geometrically."""
        fall = (self.sigma_min / self.sigma_max) ** (1 / max(1, self.iterations - 1))
        return [self.sigma_max * fall**i for i in range(self.iterations)]


class PlugAndPlay(TrainedRefiner[PlugAndPlayConfig]):
    """Optimisation with two priors, similar patches of low rank and a denoiser trained on public images; slow.

    It takes about 0.13 seconds per grey image of 32 x 32 pixels on one core.
    """

    Config = PlugAndPlayConfig
    paper = "arXiv 2005.07902"
    name = "plug-and-play"
    measured = 1000  # to estimate the error of coarse images

    def network(self, channels: int, scale: int) -> LowRankAndDeep:
        """See `TrainedRefiner.network`."""
        from dpbench.refiners.networks.low_rank import GroupConfig
        from dpbench.refiners.networks.low_rank_and_deep import LowRankAndDeep

        c = self.config
        groups = GroupConfig(c.patch, c.neighbours, c.window // 2, c.stride)
        return LowRankAndDeep(channels, c.width, c.depth, scale, groups, c.sigmas, c.deep)
