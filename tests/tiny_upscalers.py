"""Tiny upscalers with random weights, in the files in which pretrained ones are published."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    DiffusionPipeline,
    EulerDiscreteScheduler,
    LDMSuperResolutionPipeline,
    StableDiffusionLatentUpscalePipeline,
    StableDiffusionUpscalePipeline,
    UNet2DConditionModel,
    VQModel,
)
from made_weights import make_clip
from safetensors.torch import save_file
from tiny_pipelines import condition_unet, plain_unet
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

KINDS = ("DownEncoderBlock2D",) * 3, ("UpDecoderBlock2D",) * 3
SIZES: dict[str, Any] = {"block_out_channels": (4, 8, 8), "norm_num_groups": 4}
"""An autoencoder that divides the side by four."""


def esrgan(scale: int = 4, channels: int = 3) -> torch.nn.Module:
    """The architecture of Real-ESRGAN."""
    from spandrel.architectures.ESRGAN import ESRGAN

    return ESRGAN(in_nc=channels, out_nc=channels, num_filters=8, num_blocks=1, scale=scale)


def swin_ir(scale: int) -> torch.nn.Module:
    """A transformer; its inputs have at least 16 pixels."""
    from spandrel.architectures.SwinIR import SwinIR

    sizes: dict[str, Any] = {"embed_dim": 12, "depths": [1], "num_heads": [2], "mlp_ratio": 2}
    return SwinIR(img_size=8, window_size=8, upscale=scale, upsampler="pixelshuffle", **sizes)


def span() -> torch.nn.Module:
    """A small convolutional network of scale 4."""
    from spandrel.architectures.SPAN import SPAN

    return SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=4)


NETWORKS: dict[str, Callable[[], torch.nn.Module]] = {
    **{f"esrgan-x{scale}": partial(esrgan, scale) for scale in (1, 2, 4)},
    "esrgan-grey": partial(esrgan, channels=1),
    **{f"swin-ir-x{scale}": partial(swin_ir, scale) for scale in (2, 3)},
    "span": span,
}


def save_network(path: Path, name: str = "esrgan-x4") -> Path:
    """One of `NETWORKS` as a .safetensors file, or as a .pth file as basicsr writes it."""
    torch.manual_seed(0)
    state = {key: value.contiguous() for key, value in NETWORKS[name]().state_dict().items()}
    if path.suffix == ".pth":
        torch.save({"params_ema": state}, path)
    else:
        save_file(state, path)
    return path


def latent_diffusion() -> DiffusionPipeline:
    """A pipeline without text, ×4."""
    autoencoder = VQModel(3, 3, *KINDS, latent_channels=3, num_vq_embeddings=16, **SIZES)
    return LDMSuperResolutionPipeline(autoencoder, plain_unet(in_channels=6), DDIMScheduler())


def stable_diffusion(folder: Path) -> DiffusionPipeline:
    """Stable Diffusion's upscaler, ×4."""
    unet = condition_unet(in_channels=7, num_class_embeds=400)
    autoencoder = AutoencoderKL(3, 3, *KINDS, latent_channels=4, scaling_factor=0.08333, **SIZES)
    return StableDiffusionUpscalePipeline(autoencoder, *text_parts(folder), unet, DDPMScheduler(), DDIMScheduler())


def latent_upscaler(folder: Path) -> DiffusionPipeline:
    """Stable Diffusion's upscaler of latents, ×2, with a U-Net of Katherine Crowson's blocks."""
    unet = UNet2DConditionModel(
        in_channels=8, out_channels=5, block_out_channels=(32, 32, 64, 64), norm_num_groups=None, act_fn="gelu",
        down_block_types=("KDownBlock2D", *["KCrossAttnDownBlock2D"] * 3), mid_block_type=None,
        up_block_types=(*["KCrossAttnUpBlock2D"] * 3, "KUpBlock2D"), cross_attention_dim=12, attention_head_dim=8,
        conv_in_kernel=1, conv_out_kernel=1, time_embedding_type="fourier", time_cond_proj_dim=128 + 12,
        timestep_post_act="gelu", resnet_time_scale_shift="scale_shift", only_cross_attention=False,
    )  # fmt: skip
    autoencoder = AutoencoderKL(3, 3, *KINDS, latent_channels=4, **SIZES)
    return StableDiffusionLatentUpscalePipeline(autoencoder, *text_parts(folder), unet, EulerDiscreteScheduler())


def text_parts(folder: Path) -> tuple[CLIPTextModel, CLIPTokenizer]:
    """A text encoder of width 12 and its tokenizer, of which files are written to `folder`."""
    make_clip(folder)
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=12)
    config = CLIPTextConfig(
        hidden_size=12, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=len(tokenizer),
        max_position_embeddings=12, bos_token_id=len(tokenizer) - 2, eos_token_id=len(tokenizer) - 1,
    )  # fmt: skip
    return CLIPTextModel(config), tokenizer


PIPELINES: dict[str, tuple[int, Callable[[Path], DiffusionPipeline]]] = {
    "latent-diffusion": (4, lambda folder: latent_diffusion()),
    "stable-diffusion": (4, stable_diffusion),
    "latent-upscaler": (2, latent_upscaler),
}
"""Name -> (scale, pipeline)."""


def save_upscaler(folder: Path, name: str = "latent-diffusion") -> Path:
    """One of `PIPELINES` in the format of diffusers."""
    torch.manual_seed(0)
    clip = folder / "clip"
    clip.mkdir(parents=True)
    PIPELINES[name][1](clip).save_pretrained(folder / name)
    return folder / name
