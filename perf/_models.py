"""The models of `dp_step.py`, with losses and synthetic records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from diffusers import UNet2DModel
from torch import Tensor, nn

from dpbench.core.specs import Batch
from dpbench.methods.cores.diffusion.diffusion_settings import DiffusionConfig
from dpbench.models.edm import Denoiser, NoiseConfig
from dpbench.models.image_range import unit_images
from dpbench.models.lora import ATTENTION, add_lora
from dpbench.models.transformer import TokenTransformer, TransformerConfig
from dpbench.models.unet import UNet
from dpbench.privacy.gradients.engine import Loss

SIGMA_DATA = 0.5


@dataclass(frozen=True)
class Case:
    """A model to measure, one group of rows of the table.

    Attributes:
        build: constructs the model on torch's default device.
        loss: see `dpbench.privacy.gradients.engine.Loss`.
        records: number of records -> the batch of one step.
        count: records per step.
        views: rows per record.
        candidates: micro-batch sizes to try, in rows, ascending; multiples of `views`.
        probe: number of rows for trying the candidates; at least the largest one.
        rounds: default number of timings per engine.
    """

    build: Callable[[], nn.Module]
    loss: Loss
    records: Callable[[int], Batch]
    count: int
    views: int = 1
    candidates: tuple[int, ...] = (8, 16, 32, 64)
    probe: int = 64
    rounds: int = 3


def next_token(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """The wavelet method's loss."""
    assert isinstance(model, TokenTransformer)
    return model.loss(batch.derived, batch.labels)


def denoise(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Denoising loss in the EDM formulation (arXiv 2206.00364), with one noise level per row."""
    x = batch.images.float() / 127.5 - 1
    draw = partial(torch.randn, generator=generator, device=generator.device)
    sigma = (-1.2 + 1.2 * draw(len(x), 1, 1, 1)).exp()
    noisy = x + sigma * draw(x.shape)
    spread = (sigma**2 + SIGMA_DATA**2).sqrt()
    target = (x - noisy * SIGMA_DATA**2 / spread**2) * spread / (sigma * SIGMA_DATA)
    return (model(noisy / spread, sigma.flatten().log() / 4).sample - target).square().flatten(1).mean(1)


def in_bf16(loss: Loss) -> Loss:
    def autocast(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        with torch.autocast(next(model.parameters()).device.type, torch.bfloat16):
            return loss(model, batch, generator).float()

    return autocast


def unet(channels: tuple[int, ...], layers: int, attention: int, size: int, colours: int) -> UNet2DModel:
    """diffusers' U-Net with attention at the `attention` coarsest levels."""
    kinds = ["AttnDownBlock2D" if i >= len(channels) - attention else "DownBlock2D" for i in range(len(channels))]
    return UNet2DModel(
        sample_size=size,
        in_channels=colours,
        out_channels=colours,
        down_block_types=tuple(kinds),
        up_block_types=tuple(kind.replace("Down", "Up") for kind in reversed(kinds)),
        block_out_channels=channels,
        layers_per_block=layers,
        norm_num_groups=8,
    )


def small_unet() -> UNet2DModel:
    """1.1M parameters, 32 px, one channel."""
    return unet((32, 64, 64), layers=1, attention=1, size=32, colours=1)


def lora_unet() -> UNet2DModel:
    """`small_unet`, frozen, with trainable adapters of rank 4 on its attention projections."""
    model = small_unet()
    add_lora(model, rank=4, alpha=4, modules=ATTENTION)
    return model


PRESET = DiffusionConfig()


def preset_unet() -> Denoiser:
    """The default network of the diffusion methods for MNIST at 32 px."""
    return Denoiser(UNet((1, 32, 32), 11, PRESET.unet), (1, 32, 32), 10, PRESET.sigma_data)


def preset_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """The loss of these methods."""
    assert isinstance(model, Denoiser)
    assert batch.labels is not None
    noise = NoiseConfig(PRESET.p_mean, PRESET.p_std)
    return model.loss(unit_images(batch), batch.labels, generator, noise, PRESET.label_dropout)


def tokens(length: int, count: int) -> Batch:
    return Batch(condition=torch.arange(count) % 10, derived=torch.randint(0, 256, (count, length)))


def images(colours: int, size: int, count: int) -> Batch:
    pixels = torch.randint(0, 256, (count, colours, size, size), dtype=torch.uint8)
    return Batch(pixels, torch.arange(count) % 10)


CASES: Mapping[str, Case] = {
    "transformer": Case(
        lambda: TokenTransformer(TransformerConfig(256, 16, 10)), next_token, partial(tokens, 16), 2048,
        candidates=(16, 32, 64, 128, 256), probe=256, rounds=3,
    ),
    "unet": Case(small_unet, denoise, partial(images, 1, 32), 64),
    "unet-k8": Case(
        small_unet, denoise, partial(images, 1, 32), 64,
        views=8, candidates=(8, 16, 32, 64, 128), probe=128, rounds=2,
    ),
    "lora-unet": Case(lora_unet, denoise, partial(images, 1, 32), 64),
    "preset-unet": Case(
        preset_unet, preset_loss, partial(images, 1, 32), 1024,
        candidates=(64, 128, 256, 512, 1024), probe=1024, rounds=5,
    ),
    "preset-unet-k4": Case(
        preset_unet, preset_loss, partial(images, 1, 32), 1024,
        views=4, candidates=(64, 128, 256, 512, 1024), probe=1024, rounds=5,
    ),
}  # fmt: skip

LARGE: Mapping[str, Case] = {
    "unet-53m": Case(
        partial(unet, (128, 256, 256, 384), 2, 2, 32, 3), in_bf16(denoise), partial(images, 3, 32), 512,
        candidates=(16, 32, 64, 128, 256), probe=256, rounds=5,
    ),
    "unet-88m-64px": Case(
        partial(unet, (128, 256, 384, 512), 2, 2, 64, 3), in_bf16(denoise), partial(images, 3, 64), 256,
        candidates=(8, 16, 32, 64, 128), probe=128, rounds=5,
    ),
    "transformer-100m": Case(
        lambda: TokenTransformer(TransformerConfig(256, 256, 10, dim=768, depth=14, heads=12)),
        in_bf16(next_token), partial(tokens, 256), 512,
        candidates=(16, 32, 64, 128, 256), probe=256, rounds=5,
    ),
}  # fmt: skip
"""The models of `--large`, for a GPU, with bf16 autocast."""
