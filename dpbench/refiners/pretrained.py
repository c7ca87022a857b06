"""Public super-resolution networks with their published weights, such as Real-ESRGAN (arXiv 2107.10833)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.refiner import RefinerSettings
from dpbench.refiners.downloaded import DownloadedRefiner

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class PretrainedConfig(RefinerSettings):
    """Settings of the pretrained refiner."""

    weights: str = option(
        "realesrgan-x4plus", "a name of `dpbench weights list`, a path, or a file name in the folder DPBENCH_WEIGHTS"
    )
    tile: int = option(128, "side of the tiles that larger coarse images are cut into, in coarse pixels", low=1)
    overlap: int = option(16, "coarse pixels around a tile that the network also sees", low=0)


class Pretrained(DownloadedRefiner[PretrainedConfig]):
    """A public super-resolution network with published weights, such as Real-ESRGAN.

    The package spandrel recognises the architecture (ESRGAN, SwinIR, HAT, DAT ...) from the weights file. A network of
    another scale is applied repeatedly, and the result is resized. A network for colour sees each channel of a grey
    image as a colour image, and the mean of its three channels is kept.

    Real-ESRGAN takes 1.2 s of one core for an image of 64 -> 256 pixels, and 20 ms for 8 -> 32 pixels.
    """

    Config = PretrainedConfig
    paper = "arXiv 2107.10833"

    @classmethod
    def source(cls, config: PretrainedConfig) -> tuple[str, str]:
        """See `DownloadedRefiner.source`."""
        from dpbench.models.pretrained.finding import sha256, weights_file

        return Path(config.weights).name, sha256(weights_file(config.weights))

    def load(self) -> Any:
        """See `DownloadedRefiner.load`."""
        from dpbench.models.pretrained.finding import weights_file
        from dpbench.models.pretrained.super_resolvers import load_super_resolver

        return load_super_resolver(weights_file(self.config.weights))

    def refine(self, coarse: Tensor, size: int, run: RunContext) -> Tensor:
        """See `Refiner.refine`.

        Raises:
            ConfigError: `size` is smaller than the coarse size.
        """
        from dpbench.refiners.networks.channels import per_channels
        from dpbench.refiners.networks.enlarging import enlarge, in_tiles, resize

        network = self.network(run)

        def larger(images: Tensor) -> Tensor:
            images = images if network.scale > 1 else resize(images, size)
            return in_tiles(images, self.config.tile, self.config.overlap, network)

        def refined(images: Tensor) -> Tensor:
            return enlarge(images, size, larger)

        with run.autocast():
            images = per_channels(coarse.clamp(-1, 1) / 2 + 0.5, network.input_channels, refined)
        return images.float().clamp(0, 1) * 2 - 1

    def parameters(self) -> int:
        """Number of the network's weights; 0 before it is loaded."""
        return 0 if self._network is None else sum(p.numel() for p in self._network.model.parameters())
