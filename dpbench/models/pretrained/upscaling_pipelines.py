"""Public upscalers in the format of diffusers' pipelines: a folder, or a repository in the hub's cache."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from dpbench.models.pretrained.whole_pipelines import load_whole, stored_pipeline

LOWEST = {
    "StableDiffusionUpscalePipeline": 0.0,
    "StableDiffusionLatentUpscalePipeline": 0.0,
    "LDMSuperResolutionPipeline": -1.0,
}
"""Class of a pipeline -> the value of a black pixel in its input; a white one is 1."""


def load_upscaler(name: str) -> Any:
    """A stored upscaling pipeline, in fp32; downloads nothing.

    Args:
        name: a folder, or the name of a repository in the hub's cache.

    Raises:
        NotInstalled: there is neither, or the transformers package is missing.
        ConfigError: it is another kind of pipeline.
        DataError: a file is missing or damaged, or weights are not finite.
    """
    return load_whole(*stored_pipeline(name, LOWEST, "an upscaler"))


@torch.no_grad()
def upscale(pipeline: Any, images: Tensor, seeds: Sequence[int], options: Mapping[str, Any]) -> Tensor:
    """Enlarges images by the factor of the pipeline.

    Args:
        pipeline: see `load_upscaler`.
        images: [b, 3, h, w] in [-1, 1].
        seeds: one per image, so that no image depends on the others.
        options: pipeline arguments; those that this pipeline does not accept are left out.

    Returns:
        [b, 3, s · h, s · w] in [-1, 1].
    """
    taken = inspect.signature(pipeline.__call__).parameters
    given = {"prompt": [options["prompt"]] * len(images)}
    given = {name: value for name, value in {**options, **given}.items() if name in taken}
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    height, width = images.shape[-2:]
    whole = pad(images, (0, -width % multiple(pipeline), 0, -height % multiple(pipeline)), "replicate")
    lowest = LOWEST[type(pipeline).__name__]
    result = pipeline(
        image=lowest + (whole + 1) / 2 * (1 - lowest), generator=generators, output_type="pt", **given
    ).images
    scale = result.shape[-1] // whole.shape[-1]
    return result[..., : scale * height, : scale * width].to(images) * 2 - 1


def multiple(pipeline: Any) -> int:
    """The number that must divide the side of an input, so that sides are integers at all levels of both networks."""
    autoencoder = pipeline.vae if hasattr(pipeline, "vae") else pipeline.vqvae
    levels = [len(part.config.block_out_channels) - 1 for part in (autoencoder, pipeline.unet)]
    return int(2 ** sum(levels))
