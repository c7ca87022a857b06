"""DP-SGD on all weights of a publicly pretrained diffusion model (Ghalebikesabi et al., arXiv 2302.13861).

Also called PDP-Diffusion. The simplest way to use public images, and the baseline for other methods that use them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.method import Preset, required
from dpbench.core.specs import CONDITIONS, Condition, DatasetSpec, Request
from dpbench.core.track import Track, joint_track
from dpbench.methods.cores.diffusion.diffusion_method import DiffusionMethod
from dpbench.methods.cores.diffusion.diffusion_settings import ONE_GPU, PUBLISHED, DiffusionConfig
from dpbench.methods.cores.public_training import PublicTraining
from dpbench.models.caption_settings import CaptionSettings
from dpbench.privacy.plan import Plan

if TYPE_CHECKING:
    from dpbench.methods.cores.diffusion.diffusion_conditions import DiffusionCondition


@dataclass(frozen=True)
class DPSGDFinetuningConfig(CaptionSettings, PublicTraining, DiffusionConfig):
    """Settings of full finetuning by DP-SGD."""

    scatter: float = option(
        1.0, "spread of the initial private class embeddings around the public mean; 0: identical", low=0
    )
    context: int = option(64, "size of the word vectors that cross-attention sees; for captions", low=1)


class DPSGDFinetuning(DiffusionMethod[DPSGDFinetuningConfig]):
    """A diffusion model pretrained on public images, with all weights finetuned by DP-SGD.

    A class-conditional U-Net in the EDM formulation. The embeddings of the private classes start at random around the
    mean of the public ones, because identical embeddings separate slowly under DP-SGD. With captions, the U-Net
    cross-attends to their words at the `attention` coarsest levels and in the middle.
    """

    Config = DPSGDFinetuningConfig
    version = "1"
    track = "images"
    conditions: ClassVar[frozenset[Condition]] = CONDITIONS
    paper = "arXiv 2302.13861"
    presets: ClassVar[Mapping[str, Preset]] = {
        "small": Preset(),
        "small/mnist": Preset(
            {"augmentation": "strokes", "public_steps": 2500, "lr": 2e-3}, tuning="hold-out of mnist train"
        ),
        "small/shapes": Preset({"public_steps": 600, "batch": 512, "steps": 240, "sampling_steps": 10}),
        "small/grained": Preset({"public_steps": 600, "batch": 512, "steps": 240, "sampling_steps": 10}),
        "small/scenes": Preset(
            {
                "augmentation": "none",  # captions name left and right
                "text_tokens": 24,  # words of the longest caption
                "attention": 1,
                "public_steps": 1000,
                "public_batch": 64,
                "batch": 256,
                "steps": 100,
                "lr": 2e-3,
                "ema": 0.95,
                "sampling_steps": 12,
            }
        ),
        "gpu": Preset({**ONE_GPU, "steps": 1000, "views": 1, "public_steps": 6000, "public_batch": 256}),
        "gpu/mnist": Preset({"augmentation": "strokes"}),
        "gpu/scenes": Preset({"augmentation": "none", "text_tokens": 24}),
        "paper": Preset(
            {
                **PUBLISHED,
                "public_steps": 200_000,  # 160 epochs of ImageNet's 1.28 million
                "public_batch": 1024,
                "public_lr": 3e-4,
            }
        ),
    }

    @classmethod
    def track_of(cls, config: DPSGDFinetuningConfig) -> Track:
        """The track is "foundation" with a pretrained text encoder."""
        return joint_track(cls.track, config.text_track)

    @classmethod
    def weights_of(cls, config: DPSGDFinetuningConfig) -> Mapping[str, str]:
        """The weights of the text encoder."""
        return config.text_weights

    @classmethod
    def plan(cls, config: DPSGDFinetuningConfig, spec: DatasetSpec, request: Request) -> Plan:
        """One mechanism: DP-SGD on all weights.

        Raises:
            ConfigError: the network does not fit the resolution, or there are no captions to encode.
        """
        config.check_captions(spec)
        return super().plan(config, spec, request)

    def _condition(self) -> DiffusionCondition:
        """The condition of an image: the words of a caption, or its class."""
        from dpbench.methods.cores.diffusion.diffusion_conditions import ByWords

        if self.spec.condition == "captions":
            return ByWords(self.config, self.config.context)
        return super()._condition()

    def prepare(self, public: ImageDataset | None, run: RunContext) -> None:
        """Pretrains on public images with their labels or captions, if any; see `Method.prepare`.

        Raises:
            ConfigError: there is no public dataset.
        """
        self.model.start_from_public(required(public), self.config, self.config.scatter, self.version, run)
