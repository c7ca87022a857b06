"""Captions rendered by a public text-to-image model with its published weights (SPTI, arXiv 2506.07555)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.track import Track
from dpbench.generators.captioned import SOURCES, Captioned
from dpbench.generators.captions.captions_config import CaptionsConfig
from dpbench.generators.stored_pipeline import PipelineConfig, StoredPipeline

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class CaptionPipelineConfig(PipelineConfig, CaptionsConfig):
    """Settings of the captions and of the pipeline."""


class CaptionPipeline(Captioned[CaptionPipelineConfig]):
    """Captions rendered by a public text-to-image pipeline of diffusers; a variation edits the caption.

    Captions come from the public source; its images are not used. Nothing is downloaded or trained. A saved model holds
    the SHA-256 of the pipeline's weights instead of the weights. Made for a GPU.
    """

    Config = CaptionPipelineConfig

    def __init__(self, config: CaptionPipelineConfig, shape: tuple[int, int, int]):
        super().__init__(config, shape)
        self._pipeline = StoredPipeline(config, shape)

    @classmethod
    def track_of(cls, config: CaptionPipelineConfig) -> Track:
        """See `PublicGenerator.track_of`."""
        return "foundation"

    @classmethod
    def weights_of(cls, config: CaptionPipelineConfig) -> Mapping[str, str]:
        """See `PublicGenerator.weights_of`: the pipeline's, and the language model's if there is one."""
        return {**config.pipeline_weights, **SOURCES[config.edits].weights_of(config)}

    def prepare(self, public: ImageDataset, run: RunContext) -> None:
        """Draws captions and loads the pipeline; see `Captioned.prepare` and `StoredPipeline.load`."""
        super().prepare(public, run)
        self._pipeline.load(run)

    def render(self, captions: Sequence[str], run: RunContext) -> Tensor:
        """See `Captioned.render`."""
        return self._pipeline.draw(captions, run)

    def state_dict(self) -> dict[str, Any]:
        """The pool of captions, and the SHA-256 of the pipeline's weights, uint8 [32]."""
        return {**super().state_dict(), **self._pipeline.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores `state_dict()`; see `StoredPipeline.load_state_dict`."""
        super().load_state_dict(state)
        self._pipeline.load_state_dict(state)
