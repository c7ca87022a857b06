"""A small convolutional super-resolver trained by L1 on public images (sub-pixel convolution, arXiv 1609.05158)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import ConfigError
from dpbench.core.refiner import Degrade, Refiner
from dpbench.training.loop import PublicSteps, train
from dpbench.training.public import Augmentation, PublicBatches


@dataclass(frozen=True)
class RegressionConfig:
    """Settings of the regression refiner."""

    width: int = option(64, "channels of the convolutional trunk")
    depth: int = option(4, "residual blocks at the coarse size")
    steps: int = option(800, "public training steps")
    batch: int = option(64, "public images per step")
    lr: float = option(2e-3, "peak learning rate of Adam")
    augmentation: Augmentation = option("flip", "how public images are varied")


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a GELU, added to the input."""

    def __init__(self, width: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.GELU(), nn.Conv2d(width, width, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[b, width, h, w] -> the same shape."""
        return x + self.body(x)


class SubPixelNet(nn.Module):
    """Residual blocks at the coarse size, one pixel shuffle per factor of two, added to the bicubic image."""

    def __init__(self, channels: int, width: int, depth: int, doublings: int):
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1), *(ResidualBlock(width) for _ in range(depth))
        )
        self.up = nn.Sequential()
        for _ in range(doublings):
            self.up.extend([nn.Conv2d(width, 2 * width, 3, padding=1), nn.PixelShuffle(2), nn.GELU()])
            width //= 2
        self.up.append(nn.Conv2d(width, channels, 3, padding=1))
        self.scale = 2**doublings

    def forward(self, coarse: Tensor) -> Tensor:
        """[b, c, h, w] -> [b, c, scale · h, scale · w]."""
        base = F.interpolate(coarse, scale_factor=self.scale, mode="bicubic", align_corners=False)
        return base + self.up(self.trunk(coarse))


class Regression(Refiner):
    """Convolutional super-resolution trained by L1 on public images: fast, deterministic, blurry where in doubt."""

    Config = RegressionConfig
    paper = "arXiv 1609.05158"

    def __init__(self, config: RegressionConfig):
        super().__init__(config)
        self._net: SubPixelNet | None = None

    def prepare(self, public: ImageDataset, degrade: Degrade, run: RunContext) -> None:
        """See `Refiner.prepare`; cached."""
        key = {"public": public.fingerprint, "degrade": degrade.key, "refiner": asdict(self.config), "version": 1}
        self.load_state_dict(
            run.cache.get("regression", key, lambda generator: self._learn(public, degrade, run, generator))
        )

    def _learn(
        self, public: ImageDataset, degrade: Degrade, run: RunContext, generator: torch.Generator
    ) -> Mapping[str, Tensor]:
        config: RegressionConfig = self.config
        run = replace(run, generator=generator)
        batches = PublicBatches(public, config.augmentation, run.device, generator)
        images, _ = batches.draw(1)
        coarse = degrade(images, generator)
        doublings = int(math.log2(images.shape[-1] / coarse.shape[-1]))
        net = SubPixelNet(images.shape[1], config.width, config.depth, doublings).to(run.device)
        optimizer = torch.optim.Adam(net.parameters(), config.lr)

        def loss() -> Tensor:
            images, _ = batches.draw(config.batch)
            return F.l1_loss(net(degrade(images, generator)), images)

        train(PublicSteps(loss, optimizer, config.steps, run), net, optimizer, run, "train the refiner (public)")
        return net.state_dict()

    @torch.inference_mode()
    def refine(self, coarse: Tensor, size: int, run: RunContext) -> Tensor:
        """See `Refiner.refine`."""
        if self._net is None or self._net.scale * coarse.shape[-1] != size:
            raise ConfigError(f"the regression refiner is not trained for {coarse.shape[-1]} -> {size} pixels")
        return self._net.to(run.device)(coarse).clamp(-1, 1)

    def state_dict(self) -> dict[str, Tensor]:
        """See `Refiner.state_dict`."""
        return {} if self._net is None else dict(self._net.state_dict())

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """See `Refiner.load_state_dict`; the shape of the network is read off its weights."""
        channels = state["trunk.0.weight"].shape[1]
        doublings = sum(name.startswith("up.") and name.endswith("weight") for name in state) - 1
        self._net = SubPixelNet(channels, self.config.width, self.config.depth, doublings)
        self._net.load_state_dict(dict(state))
