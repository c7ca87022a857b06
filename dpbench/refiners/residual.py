"""Diffusion of the residual between an image and its upsampled coarse base (after MSF, arXiv 2501.13349).

The base carries what is certain; what a diffusion model has to draw is the rest alone, which has little structure of
large size and therefore needs few steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import ConfigError
from dpbench.core.refiner import Degrade, Refiner
from dpbench.models.edm import Denoiser, NoiseConfig, SamplerConfig
from dpbench.models.unet import UNet, UNetConfig
from dpbench.training.loop import PublicSteps, train
from dpbench.training.public import Augmentation, PublicBatches

MEASURED = 1000
"""Public images from which the size of residuals is measured."""


@dataclass(frozen=True)
class ResidualConfig:
    """Settings of the residual refiner."""

    channels: tuple[int, ...] = option((32, 32, 64), "channels of the U-Net's levels, the finest first")
    layers: int = option(1, "residual blocks per level of the U-Net")
    patch: int = option(2, "side of the pixel patches that the U-Net sees as channels")
    steps: int = option(1100, "public training steps")
    batch: int = option(32, "public images per step")
    lr: float = option(2e-3, "peak learning rate of Adam")
    ema: float = option(0.995, "decay of the weights' moving average over steps")
    p_mean: float = option(0.0, "mean of ln σ, the noise levels that training visits; residuals have deviation 1")
    p_std: float = option(1.4, "standard deviation of ln σ")
    sampler: Literal["ddim", "dpm-solver"] = option("dpm-solver", "solver of the sampling equation")
    sampling_steps: int = option(5, "calls of the network per image")
    sigma_min: float = option(0.1, "the last noise level; smaller ones are left noisy by a short training")
    sigma_max: float = option(80.0, "the first noise level; strokes have residuals of many deviations")
    augmentation: Augmentation = option("flip", "how public images are varied")

    def weight_shapes(self) -> dict[str, object]:
        """Every setting that trained weights depend on."""
        return {key: value for key, value in asdict(self).items() if key not in SAMPLING}


SAMPLING = ("sampler", "sampling_steps", "sigma_min", "sigma_max")
"""Settings that trained weights do not depend on."""


class ResidualModel(nn.Module):
    """The distribution of images given their coarse version: base + deviation · residual, the residual by diffusion.

    Convolutional, so it may be used on images of another size than those it was trained on.

    Args:
        channels: of an image.
        side: height and width of the training images.
        sizes: of the U-Net.

    Attributes:
        factor: how many times larger than its coarse version an image is.
        deviation: standard deviation of the residuals of public images.
    """

    factor: Tensor
    deviation: Tensor

    def __init__(self, channels: int, side: int, sizes: UNetConfig):
        super().__init__()
        side += -side % sizes.divisor
        network = UNet((channels, side, side), 1, sizes, given=channels)
        self.denoiser = Denoiser(network, (channels, side, side), n_classes=0, sigma_data=1.0)
        self.divisor = sizes.divisor
        self.register_buffer("factor", torch.tensor(0))
        self.register_buffer("deviation", torch.tensor(1.0))

    def base(self, coarse: Tensor) -> Tensor:
        """[b, c, h, w] -> [b, c, factor · h, factor · w], bicubic."""
        return F.interpolate(coarse, scale_factor=int(self.factor), mode="bicubic", align_corners=False)

    def loss(self, images: Tensor, coarse: Tensor, generator: torch.Generator, noise: NoiseConfig) -> Tensor:
        """The denoiser's loss per row: [b]."""
        base = self.base(coarse)
        residual = (images - base) / self.deviation
        return self.denoiser.loss(
            self._whole(residual), self._labels(images), generator, noise, given=self._whole(base)
        )

    def sample(self, coarse: Tensor, generator: torch.Generator, sampler: SamplerConfig) -> Tensor:
        """One image per coarse image; each one's noise is drawn on its own, in order."""
        base = self.base(coarse)
        given = self._whole(base)
        noise = torch.stack([torch.randn(given.shape[1:], generator=generator) for _ in range(len(given))])
        residual = self.denoiser.denoise(noise.to(given), self._labels(given), sampler, given)
        return base + self.deviation * residual[..., : base.shape[-2], : base.shape[-1]]

    def _whole(self, images: Tensor) -> Tensor:
        """Their last row and column repeated until the U-Net's patches and levels divide them."""
        down, right = (-side % self.divisor for side in images.shape[-2:])
        return F.pad(images, (0, right, 0, down), mode="replicate")

    def _labels(self, images: Tensor) -> Tensor:
        return torch.full((len(images),), self.denoiser.null, device=images.device)


class Residual(Refiner):
    """Diffusion of what bicubic interpolation leaves out, trained on public images: sharp, random, a few steps."""

    Config = ResidualConfig
    paper = "arXiv 2501.13349"

    def __init__(self, config: ResidualConfig):
        super().__init__(config)
        self._sizes = UNetConfig(config.channels, config.layers, attention=0, patch=config.patch)
        self._model: ResidualModel | None = None

    def prepare(self, public: ImageDataset, degrade: Degrade, run: RunContext) -> None:
        """See `Refiner.prepare`; cached."""
        config: ResidualConfig = self.config
        key = {"public": public.fingerprint, "degrade": degrade.key, "refiner": config.weight_shapes(), "version": 1}
        self.load_state_dict(
            run.cache.get("residual", key, lambda generator: self._learn(public, degrade, run, generator))
        )

    def _learn(
        self, public: ImageDataset, degrade: Degrade, run: RunContext, generator: torch.Generator
    ) -> Mapping[str, Tensor]:
        config: ResidualConfig = self.config
        run = replace(run, generator=generator)
        batches = PublicBatches(public, config.augmentation, run.device, generator)
        images = batches.collect(MEASURED)
        coarse = degrade(images, generator)
        model = ResidualModel(images.shape[1], images.shape[-1], self._sizes).to(run.device)
        model.factor.fill_(images.shape[-1] // coarse.shape[-1])
        model.deviation.copy_((images - model.base(coarse)).std())
        optimizer = torch.optim.Adam(model.parameters(), config.lr)

        def loss() -> Tensor:
            images, _ = batches.draw(config.batch)
            noise = NoiseConfig(config.p_mean, config.p_std)
            return model.loss(images, degrade(images, generator), generator, noise).mean()

        steps = PublicSteps(loss, optimizer, config.steps, run)
        train(steps, model, optimizer, run, "train the refiner (public)", ema=config.ema)
        return model.state_dict()

    def refine(self, coarse: Tensor, size: int, run: RunContext) -> Tensor:
        """See `Refiner.refine`. It does not matter how many images one call takes."""
        if self._model is None or int(self._model.factor) * coarse.shape[-1] != size:
            raise ConfigError(f"the residual refiner is not trained for {coarse.shape[-1]} -> {size} pixels")
        c: ResidualConfig = self.config
        sampler = SamplerConfig(c.sampler, c.sampling_steps, c.sigma_min, sigma_max=c.sigma_max)
        with run.autocast():
            return self._model.to(run.device).eval().sample(coarse, run.generator, sampler).clamp(-1, 1)

    def state_dict(self) -> dict[str, Tensor]:
        """See `Refiner.state_dict`."""
        return {} if self._model is None else dict(self._model.state_dict())

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """See `Refiner.load_state_dict`; the number of channels is read off the weights."""
        channels = state["denoiser.network.unet.conv_out.bias"].shape[0] // self.config.patch**2
        self._model = ResidualModel(channels, self._sizes.divisor, self._sizes)
        self._model.load_state_dict(dict(state))
