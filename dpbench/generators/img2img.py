"""A public text-to-image model with its published weights, as a generator (arXiv 2305.15560, section 5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import DataError
from dpbench.core.method import Track
from dpbench.core.public_generator import Candidates, PublicGenerator

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Img2ImgConfig:
    """Settings of the pipeline."""

    pipeline: str = option(
        "stable-diffusion-v1-5/stable-diffusion-v1-5", "a folder, or a repository in the Hugging Face hub's cache"
    )
    prompt: str = option("", "what the images show; public")
    sampling_steps: int = option(50, "network evaluations per random image", low=1)
    guidance: float = option(7.5, "weight of classifier-free guidance towards the prompt; 1: none", low=0)
    size: int = option(512, "height and width at which the model works; images are resized to it and back", low=8)
    batch: int = option(4, "images at a time", low=1)


class Img2Img(PublicGenerator[Img2ImgConfig]):
    """A public text-to-image pipeline of diffusers, such as Stable Diffusion; it varies images by image-to-image.

    The degree of a variation is the pipeline's strength. Nothing is downloaded or trained, and no public image is
    looked at. A saved model holds the SHA-256 of the weights in place of the weights. Made for a GPU.
    """

    Config = Img2ImgConfig
    paper = "arXiv 2305.15560"
    _pipeline: Any = None

    @classmethod
    def track_of(cls, config: Img2ImgConfig) -> Track:
        """See `PublicGenerator.track_of`."""
        return "foundation"

    @classmethod
    def weights_of(cls, config: Img2ImgConfig) -> Mapping[str, str]:
        """See `PublicGenerator.weights_of`."""
        from dpbench.models.pretrained.pipeline_folders import pipeline_sha256

        return {Path(config.pipeline).name: pipeline_sha256(config.pipeline)[:12]}

    def prepare(self, public: ImageDataset, run: RunContext) -> None:
        """Loads the pipeline.

        Raises:
            NotInstalled, ConfigError, DataError: it is missing, of another kind, or damaged.
        """
        self._loaded(run)

    def random(self, count: int, run: RunContext) -> Candidates:
        """See `PublicGenerator.random`: images for the prompt."""
        import torch

        from dpbench.models.pretrained.image_pipelines import draw

        c, seeds = self.config, _seeds(count, run)
        parts = [seeds[i : i + c.batch] for i in range(0, count, c.batch)]
        drawn = [draw(self._loaded(run), c.prompt, part, c.size, self._options) for part in parts]
        return self.adopt(self._small(torch.cat(drawn)))

    def vary(self, candidates: Candidates, degree: float, run: RunContext) -> Candidates:
        """See `PublicGenerator.vary`; a variation makes at least one step."""
        import torch

        from dpbench.models.pretrained.image_pipelines import vary

        c, seeds = self.config, _seeds(len(candidates.images), run)
        strength = max(degree, 1 / c.sampling_steps)
        parts = []
        for i in range(0, len(seeds), c.batch):
            images = self._large(candidates.images[i : i + c.batch])
            varied = vary(self._loaded(run), images, c.prompt, strength, seeds[i : i + c.batch], self._options)
            parts.append(self._small(varied))
        return self.adopt(torch.cat(parts))

    def state_dict(self) -> dict[str, Any]:
        """The SHA-256 of the weights, uint8 [32]; nothing before they are loaded."""
        import torch

        return {} if self._pipeline is None else {"sha256": torch.tensor(list(self._sha256()), dtype=torch.uint8)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Checks that the weights on disk are those of the saved model.

        Raises:
            DataError: they are others.
        """
        if bytes(state["sha256"].tolist()) != self._sha256():
            raise DataError(f"the pipeline '{self.config.pipeline}' is not the one that the model was saved with")

    @property
    def _options(self) -> dict[str, Any]:
        return {"num_inference_steps": self.config.sampling_steps, "guidance_scale": self.config.guidance}

    def _loaded(self, run: RunContext) -> Any:
        from dpbench.models.pretrained.image_pipelines import load_image_pipeline

        if self._pipeline is None:
            self._pipeline = load_image_pipeline(self.config.pipeline)
        return self._pipeline.to(run.device)

    def _sha256(self) -> bytes:
        from dpbench.models.pretrained.pipeline_folders import pipeline_sha256

        return bytes.fromhex(pipeline_sha256(self.config.pipeline))

    def _large(self, images: Tensor) -> Tensor:
        """uint8 [n, c, h, w] -> float [n, 3, size, size] in [0, 1], as the pipeline takes them."""
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
