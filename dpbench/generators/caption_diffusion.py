"""Captions rendered by a diffusion model of captioned public images (SPTI, arXiv 2506.07555)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dpbench.core.captions import decode_captions
from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.state_parts import joined, part_of
from dpbench.core.track import Track, joint_track
from dpbench.generators.captioned import SOURCES, Captioned
from dpbench.generators.captions.captions_config import CaptionsConfig
from dpbench.generators.public_diffusion import DiffusionGeneratorConfig, trained
from dpbench.models.caption_settings import CaptionSettings
from dpbench.training.augmentation import Augmentation

if TYPE_CHECKING:
    from torch import Tensor

    from dpbench.models.edm import Denoiser


@dataclass(frozen=True)
class CaptionDiffusionConfig(CaptionsConfig, CaptionSettings, DiffusionGeneratorConfig):
    """Settings of the captions, of the network and its public training, and of the sampler."""

    augmentation: Augmentation = option("none", "augmentation of public images; captions may name left and right")
    label_dropout: float = option(
        0.1, "probability of training without a caption; must be positive for guidance", low=0, below=1
    )
    sampling_steps: int = option(16, "network evaluations per image", low=1)
    context: int = option(64, "size of the word vectors that cross-attention sees", low=1)
    guidance: float = option(1.4, "weight of classifier-free guidance towards the caption; 1 disables it", low=0)

    def __post_init__(self) -> None:
        CaptionsConfig.__post_init__(self)
        DiffusionGeneratorConfig.__post_init__(self)

    def training_settings(self) -> dict[str, Any]:
        """See `DiffusionGeneratorConfig.training_settings`; those of the text encoder are in `CaptionReader.key`."""
        return {**super().training_settings(), "context": self.context}


class CaptionDiffusion(Captioned[CaptionDiffusionConfig]):
    """Captions rendered by a diffusion model trained on the captioned public source; a variation edits the caption.

    The network is the same as in `dp-sgd` for datasets with captions: its cross-attention sees the words of a caption
    at the `attention` coarsest levels and in the middle. It can render only what the public source has words for.
    """

    Config = CaptionDiffusionConfig

    def __init__(self, config: CaptionDiffusionConfig, shape: tuple[int, int, int]):
        from dpbench.models.caption_reader import CaptionReader

        super().__init__(config, shape)
        self._reader = CaptionReader(config)
        self._denoiser: Denoiser | None = None

    @classmethod
    def track_of(cls, config: CaptionDiffusionConfig) -> Track:
        """See `PublicGenerator.track_of`: "foundation" with a pretrained text encoder or language model."""
        return joint_track("images", SOURCES[config.edits].track, config.text_track)

    @classmethod
    def weights_of(cls, config: CaptionDiffusionConfig) -> Mapping[str, str]:
        """See `PublicGenerator.weights_of`: the text encoder's and the language model's."""
        return {**config.text_weights, **SOURCES[config.edits].weights_of(config)}

    @classmethod
    def check_shape(cls, config: CaptionDiffusionConfig, shape: tuple[int, int, int]) -> None:
        """See `PublicGenerator.check_shape`."""
        config.unet.check_divides(shape[1])

    def prepare(self, public: ImageDataset, run: RunContext) -> None:
        """Draws captions and trains the model, once per cache key; see `Captioned.prepare`."""
        super().prepare(public, run)
        key = {"public": public.fingerprint, "version": 1, **self.config.training_settings(), **self._reader.key}
        weights = run.cache.get(
            "caption-generator", key, lambda generator: self._trained(public, replace(run, generator=generator))
        )
        self._denoiser = self._network()
        self._denoiser.load_state_dict(weights)

    def render(self, captions: Sequence[str], run: RunContext) -> Tensor:
        """See `Captioned.render`."""
        from dpbench.models.edm import SamplerConfig
        from dpbench.models.image_range import to_uint8

        assert self._denoiser is not None, "prepare comes first"
        c, model = self.config, self._denoiser.to(run.device).eval()
        words = self._reader.words(self._reader.tokens(captions, 1)[:, 0].to(run.device))
        sampler = SamplerConfig("dpm-solver", c.sampling_steps, c.sigma_min, c.guidance)
        with run.autocast():
            return to_uint8(model.sample(words, run.generator, sampler)).cpu()

    def state_dict(self) -> dict[str, Any]:
        """The pool of captions, and the denoiser's weights."""
        weights = {} if self._denoiser is None else self._denoiser.state_dict()
        return {**super().state_dict(), **joined({"denoiser": weights})}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores `state_dict()`."""
        super().load_state_dict(state)
        self._denoiser = self._network()
        self._denoiser.load_state_dict(part_of(state, "denoiser"))

    def _network(self) -> Denoiser:
        from dpbench.models.caption_context import ProjectedWords
        from dpbench.models.caption_unet import pixel_caption_unet
        from dpbench.models.edm import Denoiser

        c, text = self.config, self._reader.text
        context = ProjectedWords(text.length, text.dim, c.context)
        return Denoiser(pixel_caption_unet(self.shape, c.unet, context, c.context), self.shape, 0, c.sigma_data)

    def _trained(self, public: ImageDataset, run: RunContext) -> dict[str, Tensor]:
        """Weights of a model trained on public images, each with one of its captions."""
        from dpbench.training.public_batches import PublicBatches

        c, reader = self.config, self._reader
        batches = PublicBatches(public, c.augmentation, run.device, run.generator)

        def draw(size: int) -> tuple[Tensor, Tensor]:
            batch = batches.batch(size)
            assert batch.images is not None
            assert batch.captions is not None
            tokens = reader.tokens(decode_captions(batch.captions), c.captions_per_image)
            return batch.images, reader.words(reader.one(tokens, size, run.generator).to(run.device))

        return trained(self._network(), draw, c, run)
