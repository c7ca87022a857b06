"""Public super-resolution networks with their published weights, such as Real-ESRGAN (arXiv 2107.10833)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import DataError
from dpbench.core.method import Track
from dpbench.core.refiner import Degrade, Refiner, RefinerSettings

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class PretrainedConfig(RefinerSettings):
    """Settings of the pretrained refiner."""

    weights: str = option(
        "realesrgan-x4plus", "a name of `dpbench weights list`, a path, or a file name in the folder DPBENCH_WEIGHTS"
    )
    tile: int = option(128, "side of the tiles that larger coarse images are cut into, in coarse pixels", low=1)
    overlap: int = option(16, "coarse pixels around a tile that the network sees, too", low=0)


class Pretrained(Refiner[PretrainedConfig]):
    """A public super-resolution network with published weights, such as Real-ESRGAN.

    The package spandrel recognises the architecture (ESRGAN, SwinIR, HAT, DAT ...) by the weights file. A network of
    another scale is applied repeatedly and its result resized. Grey images are shown to a colour network as colour
    images, and the mean of its channels is kept. Real-ESRGAN takes 0.9 s on one core for 64 -> 256 pixels.

    What the network was trained on is unknown, so rows are in the track "foundation" and name the weights. A saved
    model holds the SHA-256 of the weights file in place of the weights; the file is read again.
    """

    Config = PretrainedConfig
    paper = "arXiv 2107.10833"
    uses_public = False

    def __init__(self, config: PretrainedConfig):
        super().__init__(config)
        self._network: Any = None
        self._sha256 = ""

    @classmethod
    def track_of(cls, config: PretrainedConfig) -> Track:
        """See `Refiner.track_of`."""
        return "foundation"

    @classmethod
    def weights_of(cls, config: PretrainedConfig) -> Mapping[str, str]:
        """See `Refiner.weights_of`."""
        from dpbench.models.pretrained.finding import sha256, weights_file

        return {Path(config.weights).name: sha256(weights_file(config.weights))[:12]}

    def prepare(self, public: ImageDataset, degrade: Degrade, run: RunContext) -> None:
        """Loads the network.

        Raises:
            NotInstalled, DataError, ConfigError: see `weights_file` and `load_super_resolver`.
        """
        self._load()

    def _load(self) -> None:
        from dpbench.models.pretrained.finding import sha256, weights_file
        from dpbench.models.pretrained.super_resolvers import load_super_resolver

        path = weights_file(self.config.weights)
        self._network, self._sha256 = load_super_resolver(path), sha256(path)

    def refine(self, coarse: Tensor, size: int, run: RunContext) -> Tensor:
        """See `Refiner.refine`.

        Raises:
            ConfigError: `size` is smaller than the coarse size.
        """
        from dpbench.refiners.networks.enlarging import enlarge, in_tiles, resize

        if self._network is None:
            self._load()
        self._network.to(run.device)

        def network(images: Tensor) -> Tensor:
            images = images if self._network.scale > 1 else resize(images, size)
            return in_tiles(images, self.config.tile, self.config.overlap, self._network)

        with run.autocast():
            images = enlarge(self._as_input(coarse.clamp(-1, 1) / 2 + 0.5), size, network)
        return self._as_output(images.float().clamp(0, 1), coarse.shape[1]) * 2 - 1

    def _as_input(self, images: Tensor) -> Tensor:
        """Images with as many channels as the network has; other images channel by channel, each as a grey image."""
        channels = self._network.input_channels
        if images.shape[1] == channels:
            return images
        return images.flatten(0, 1).unsqueeze(1).expand(-1, channels, -1, -1)

    def _as_output(self, images: Tensor, channels: int) -> Tensor:
        """Inverse of `_as_input`: the mean of the network's channels is a channel of the image."""
        if images.shape[1] == channels:
            return images
        return images.mean(1).unflatten(0, (-1, channels))

    def state_dict(self) -> dict[str, Tensor]:
        """The SHA-256 of the weights file: uint8 [32]; nothing before the network is loaded."""
        import torch

        return {"sha256": torch.tensor(list(bytes.fromhex(self._sha256)), dtype=torch.uint8)} if self._sha256 else {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Loads the network again.

        Raises:
            DataError: the weights file is not the one that the state was saved with.
        """
        self._load()
        saved = bytes(state["sha256"].tolist()).hex()
        if self._sha256 != saved:
            raise DataError(
                f"the weights '{self.config.weights}' are not those of the trial: their SHA-256 begins with "
                f"{self._sha256[:12]}, not {saved[:12]}"
            )
