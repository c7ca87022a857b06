"""A public text-to-image model with its published weights, as a generator (arXiv 2305.15560, section 5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.public_generator import Candidates, PublicGenerator
from dpbench.core.track import Track
from dpbench.generators.stored_pipeline import PipelineConfig, StoredPipeline


@dataclass(frozen=True)
class Img2ImgConfig(PipelineConfig):
    """Settings of the pipeline, and its prompt."""

    prompt: str = option("", "what the images show; public")


class Img2Img(PublicGenerator[Img2ImgConfig]):
    """A public text-to-image pipeline of diffusers, such as Stable Diffusion; it varies images by image-to-image.

    The degree of a variation is the pipeline's strength. Nothing is downloaded or trained, and no public image is used.
    A saved model holds the SHA-256 of the weights instead of the weights. Made for a GPU.
    """

    Config = Img2ImgConfig
    paper = "arXiv 2305.15560"

    def __init__(self, config: Img2ImgConfig, shape: tuple[int, int, int]):
        super().__init__(config, shape)
        self._pipeline = StoredPipeline(config, shape)

    @classmethod
    def track_of(cls, config: Img2ImgConfig) -> Track:
        """See `PublicGenerator.track_of`."""
        return "foundation"

    @classmethod
    def weights_of(cls, config: Img2ImgConfig) -> Mapping[str, str]:
        """See `PublicGenerator.weights_of`."""
        return config.pipeline_weights

    def prepare(self, public: ImageDataset, run: RunContext) -> None:
        """Loads the pipeline.

        Raises:
            NotInstalled, ConfigError, DataError: it is missing, of another kind, or damaged.
        """
        self._pipeline.load(run)

    def random(self, count: int, run: RunContext) -> Candidates:
        """See `PublicGenerator.random`: images for the prompt."""
        return self.adopt(self._pipeline.draw([self.config.prompt] * count, run))

    def vary(self, candidates: Candidates, degree: float, run: RunContext) -> Candidates:
        """See `PublicGenerator.vary`; a variation makes at least one step."""
        return self.adopt(self._pipeline.vary(candidates.images, self.config.prompt, degree, run))

    def state_dict(self) -> dict[str, Any]:
        """The SHA-256 of the weights, uint8 [32]; nothing before they are loaded."""
        return self._pipeline.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `StoredPipeline.load_state_dict`."""
        self._pipeline.load_state_dict(state)
