"""A tiny text-to-image pipeline with random weights, as diffusers stores it."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from tiny_pipelines import condition_unet, kl_autoencoder
from tiny_upscalers import text_parts


def save_image_pipeline(folder: Path) -> Path:
    """A `StableDiffusionPipeline` for images of 16 pixels, in `folder / "text-to-image"`."""
    torch.manual_seed(0)
    clip = folder / "clip"
    clip.mkdir(parents=True)
    encoder, tokenizer = text_parts(clip)
    schedule = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
    )
    parts = {"vae": kl_autoencoder(), "unet": condition_unet(), "scheduler": schedule}
    pipeline = StableDiffusionPipeline(
        **parts, text_encoder=encoder, tokenizer=tokenizer, safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(folder / "text-to-image")
    return folder / "text-to-image"
