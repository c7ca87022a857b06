"""Restoration with memorised modulation (RMM, arXiv 2110.01033): detail looked up in a memory of public images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dpbench.core.config import option
from dpbench.refiners.halved_width import check_width
from dpbench.refiners.trained import TrainedRefiner, TrainingConfig

if TYPE_CHECKING:
    from dpbench.refiners.networks.memorized_modulation import MemorizedModulation


@dataclass(frozen=True)
class MemoryConfig(TrainingConfig):
    """Settings of the memory refiner."""

    steps: int = option(800, "public training steps", low=1)
    batch: int = option(32, "public images per step", low=1)
    width: int = option(48, "channels of the restorer, a multiple of the upsampling factor", low=1)
    depth: int = option(4, "modulated residual blocks at the coarse size", low=1)
    entries: int = option(4096, "pairs of coarse patch and detail code in the memory", low=1)

    def check_scale(self, scale: int) -> None:
        """See `RefinerSettings.check_scale`; the width is halved at each doubling."""
        check_width(self.width, scale)


class Memory(TrainedRefiner[MemoryConfig]):
    """A restorer modulated by the detail of the most similar public patch, trained on public images."""

    Config = MemoryConfig
    paper = "arXiv 2110.01033"
    name = "memory"
    measured = 1000  # their patches fill the memory

    def network(self, channels: int, scale: int) -> MemorizedModulation:
        """See `TrainedRefiner.network`."""
        from dpbench.refiners.networks.memorized_modulation import MemorizedModulation

        return MemorizedModulation(channels, self.config.width, self.config.depth, scale, self.config.entries)
