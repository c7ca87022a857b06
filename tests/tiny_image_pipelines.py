"""Tiny text-to-image pipelines with random weights, as diffusers stores them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from tiny_pipelines import condition_unet, kl_autoencoder
from tiny_upscalers import text_parts


def save_image_pipeline(folder: Path) -> Path:
    """A `StableDiffusionPipeline` for images of 16 pixels, in `folder / "text-to-image"`."""
    return _save(folder, condition_unet(), prediction_type="epsilon")


def save_captioned_pipeline(folder: Path) -> Path:
    """The same with large weights behind cross-attention, and an estimate of the image: it shows the prompt's words."""
    unet = condition_unet()
    with torch.no_grad():
        for name, weight in unet.named_parameters():
            if "attn2.to_out" in name:
                weight.mul_(1000)
    return _save(folder, unet, prediction_type="sample")


def _save(folder: Path, unet: Any, prediction_type: str) -> Path:
    torch.manual_seed(0)
    clip = folder / "clip"
    clip.mkdir(parents=True)
    encoder, tokenizer = text_parts(clip)
    schedule = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1,
        prediction_type=prediction_type,
    )  # fmt: skip
    parts = {"vae": kl_autoencoder(), "unet": unet, "scheduler": schedule}
    pipeline = StableDiffusionPipeline(
        **parts, text_encoder=encoder, tokenizer=tokenizer, safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(folder / "text-to-image")
    return folder / "text-to-image"
