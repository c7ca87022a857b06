"""Public text-to-image models in the format of diffusers' pipelines: images, and variations of given images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import diffusers
import torch
from torch import Tensor

from dpbench.models.pretrained.whole_pipelines import load_whole, stored_pipeline

KINDS = ("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline")
"""Pipeline classes that have the parts for both kinds of calls."""


def load_image_pipeline(name: str) -> Any:
    """A stored `StableDiffusionImg2ImgPipeline`, in fp32; downloads nothing.

    Args:
        name: a folder, or the name of a repository in the hub's cache.

    Raises:
        NotInstalled: there is neither, or the transformers package is missing.
        ConfigError: it is another kind of pipeline.
        DataError: a file is missing or damaged, or weights are not finite.
    """
    folder, _ = stored_pipeline(name, KINDS, "a generator of variations")
    pipeline = load_whole(folder, "StableDiffusionImg2ImgPipeline")
    pipeline.safety_checker = None  # it replaces images with black ones
    return pipeline


@torch.no_grad()
def draw(pipeline: Any, prompts: Sequence[str], seeds: Sequence[int], size: int, options: Mapping[str, Any]) -> Tensor:
    """A random image for each prompt: float [n, 3, size, size] in [0, 1].

    Args:
        pipeline: see `load_image_pipeline`.
        prompts: what the images show.
        seeds: one per image, so that no image depends on the others.
        size: height and width; the model's native size is best.
        options: further arguments of the pipeline.
    """
    by_text: Any = diffusers.StableDiffusionPipeline(**pipeline.components, requires_safety_checker=False)
    by_text.set_progress_bar_config(disable=True)
    images: Tensor = by_text(
        list(prompts), height=size, width=size, generator=_generators(seeds), output_type="pt", **options
    ).images
    return images


@torch.no_grad()
def vary(
    pipeline: Any, images: Tensor, prompt: str, strength: float, seeds: Sequence[int], options: Mapping[str, Any]
) -> Tensor:
    """Variations of images: noised to a share `strength` of the sampling path, then denoised.

    Args:
        pipeline: see `load_image_pipeline`.
        images: float [n, 3, size, size] in [0, 1].
        prompt: what they show.
        strength: in (0, 1]; at 1 little is left of the images.
        seeds: as for `draw`.
        options: as for `draw`.

    Returns:
        float [n, 3, size, size] in [0, 1].
    """
    varied: Tensor = pipeline(
        [prompt] * len(images),
        image=images,
        strength=strength,
        generator=_generators(seeds),
        output_type="pt",
        **options,
    ).images
    return varied


def _generators(seeds: Sequence[int]) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]
