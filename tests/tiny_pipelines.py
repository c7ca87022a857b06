"""Tiny latent diffusion models with random weights, for images of 16 pixels, as diffusers stores them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel, UNet2DModel, VQModel
from tiny_text_encoders import save_clip, save_tokenizer


def condition_unet(**settings: Any) -> Any:
    """A `UNet2DConditionModel` as in Stable Diffusion: spatial transformers with GEGLU and two kinds of attention."""
    torch.manual_seed(0)
    given = {
        "in_channels": 4, "out_channels": 4, "block_out_channels": (8, 16), "norm_num_groups": 4,
        "cross_attention_dim": 12,
    } | settings  # fmt: skip
    return UNet2DConditionModel(
        sample_size=8, layers_per_block=1, attention_head_dim=2,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        **given,
    )  # fmt: skip


def plain_unet(**settings: Any) -> Any:
    """A `UNet2DModel` as in the first latent diffusion models."""
    torch.manual_seed(0)
    given = {"in_channels": 3, "out_channels": 3, "block_out_channels": (8, 16), "norm_num_groups": 4} | settings
    return UNet2DModel(
        sample_size=8, layers_per_block=1, attention_head_dim=4, down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"), **given,
    )  # fmt: skip


def kl_autoencoder(channels: int = 3) -> Any:
    """An `AutoencoderKL` that halves the side."""
    kinds = ("DownEncoderBlock2D",) * 2, ("UpDecoderBlock2D",) * 2
    return AutoencoderKL(channels, channels, *kinds, block_out_channels=(4, 8), latent_channels=4, norm_num_groups=4)


def vq_model() -> Any:
    """A `VQModel` that halves the side."""
    kinds = ("DownEncoderBlock2D",) * 2, ("UpDecoderBlock2D",) * 2
    return VQModel(3, 3, *kinds, block_out_channels=(4, 8), latent_channels=3, num_vq_embeddings=16, norm_num_groups=4)


def save_stable_diffusion(folder: Path, **unet: Any) -> Path:
    """A pipeline of a `UNet2DConditionModel` and an `AutoencoderKL`."""
    condition_unet(**unet).save_pretrained(folder / "unet")
    kl_autoencoder().save_pretrained(folder / "vae")
    schedule = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=True)
    schedule.save_pretrained(folder / "scheduler")
    return folder


def save_text_to_image(folder: Path) -> Path:
    """The same with a text encoder and its tokenizer."""
    save_clip(folder / "text_encoder")
    save_tokenizer(folder / "tokenizer")
    return save_stable_diffusion(folder, cross_attention_dim=8)


def save_unconditional(folder: Path, **unet: Any) -> Path:
    """A pipeline of a `UNet2DModel` and a `VQModel`."""
    plain_unet(**unet).save_pretrained(folder / "unet")
    vq_model().save_pretrained(folder / "vqvae")
    DDIMScheduler(prediction_type="v_prediction").save_pretrained(folder / "scheduler")
    return folder


SAVED = {"stable-diffusion": save_stable_diffusion, "unconditional": save_unconditional}
