"""A stored text-to-image pipeline of diffusers, which makes and varies images of a dataset's shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dpbench.core.config import option
from dpbench.core.context import RunContext

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class PipelineConfig:
    """Settings of a pipeline."""

    pipeline: str = option(
        "stable-diffusion-v1-5/stable-diffusion-v1-5", "a folder, or a repository in the Hugging Face hub's cache"
    )
    sampling_steps: int = option(50, "network evaluations per random image", low=1)
    guidance: float = option(7.5, "weight of classifier-free guidance towards the prompt; 1: none", low=0)
    size: int = option(512, "height and width at which the model works; images are resized to it and back", low=8)
    batch: int = option(4, "images at a time", low=1)

    @property
    def pipeline_weights(self) -> Mapping[str, str]:
        """The pipeline's name, and the first 12 digits of the SHA-256 of its weights.

        Raises:
            NotInstalled, DataError: they are missing or damaged.
        """
        from dpbench.models.pretrained.pipeline_folders import pipeline_weights

        return pipeline_weights(self.pipeline)


class StoredPipeline:
    """A pipeline with its published weights. Nothing is downloaded or trained.

    Args:
        config: the pipeline and how it is used.
        shape: (channels, height, width) of the images of the dataset.
    """

    def __init__(self, config: PipelineConfig, shape: tuple[int, int, int]):
        self.config = config
        self.shape = shape
        self._pipeline: Any = None
        self._mark: dict[str, Tensor] = {}

    def load(self, run: RunContext) -> Any:
        """The pipeline on the run's device, loaded once.

        Raises:
            NotInstalled, ConfigError, DataError: it is missing, of another kind, or damaged.
        """
        from dpbench.models.pretrained.image_pipelines import load_image_pipeline
        from dpbench.models.pretrained.pipeline_folders import pipeline_sha256
        from dpbench.models.pretrained.weights_mark import mark_of

        if self._pipeline is None:
            self._pipeline = load_image_pipeline(self.config.pipeline)
            self._mark = mark_of(pipeline_sha256(self.config.pipeline))
        return self._pipeline.to(run.device)

    def draw(self, prompts: Sequence[str], run: RunContext) -> Tensor:
        """A random image for each prompt: uint8 [n, c, h, w] on the CPU."""
        import torch

        from dpbench.models.pretrained.image_pipelines import draw

        c, seeds = self.config, _seeds(len(prompts), run)
        parts = [slice(first, first + c.batch) for first in range(0, len(prompts), c.batch)]
        drawn = (draw(self.load(run), prompts[part], seeds[part], c.size, self._options) for part in parts)
        return torch.cat([self._small(images) for images in drawn])

    def vary(self, images: Tensor, prompt: str, strength: float, run: RunContext) -> Tensor:
        """A variation of each image by image-to-image, in at least one step: uint8 [n, c, h, w] on the CPU.

        Args:
            images: uint8 [n, c, h, w].
            prompt: what they show.
            strength: in (0, 1]; at 1 little is left of the images.
            run: device and generator.
        """
        import torch

        from dpbench.models.pretrained.image_pipelines import vary

        c, seeds = self.config, _seeds(len(images), run)
        strength = max(strength, 1 / c.sampling_steps)
        parts = []
        for i in range(0, len(seeds), c.batch):
            large = self._large(images[i : i + c.batch])
            varied = vary(self.load(run), large, prompt, strength, seeds[i : i + c.batch], self._options)
            parts.append(self._small(varied))
        return torch.cat(parts)

    def state_dict(self) -> dict[str, Any]:
        """The SHA-256 of the weights, uint8 [32]; nothing before they are loaded or a saved model is restored."""
        return dict(self._mark)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Checks that the weights on disk are those of the saved model; see `checked_mark`.

        Raises:
            NotInstalled, DataError: they are missing or damaged, or differ.
        """
        from dpbench.models.pretrained.pipeline_folders import pipeline_sha256
        from dpbench.models.pretrained.weights_mark import checked_mark

        self._mark = checked_mark(state, self.config.pipeline, pipeline_sha256(self.config.pipeline))

    @property
    def _options(self) -> dict[str, Any]:
        return {"num_inference_steps": self.config.sampling_steps, "guidance_scale": self.config.guidance}

    def _large(self, images: Tensor) -> Tensor:
        """uint8 [n, c, h, w] -> float [n, 3, size, size] in [0, 1], as the pipeline expects."""
        from torch.nn.functional import interpolate

        colour = images.float().expand(-1, 3, -1, -1) / 255
        size = (self.config.size, self.config.size)
        return interpolate(colour, size, mode="bicubic", antialias=True).clamp(0, 1)

    def _small(self, images: Tensor) -> Tensor:
        """Float [n, 3, size, size] in [0, 1] -> uint8 [n, c, h, w] on the CPU, as the dataset has them."""
        from torch.nn.functional import interpolate

        small = interpolate(images.float(), self.shape[1:], mode="bicubic", antialias=True)
        if self.shape[0] == 1:
            small = small.mean(1, keepdim=True)
        return (small * 255).round().clamp(0, 255).byte().cpu()


def _seeds(count: int, run: RunContext) -> list[int]:
    """One seed per image."""
    import torch

    seeds: list[int] = torch.randint(2**62, (count,), generator=run.generator).tolist()
    return seeds
