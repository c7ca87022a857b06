"""DP-finetuned autoregressive models over the tokens of whole images, like DP-LlamaGen and DP-VAR.

The tokenizer is trained on public images; the transformer is pretrained on them and finetuned by DP-SGD. `wavelet` is
compared with this method; `wavelet` models only the tokens of the coarse band privately.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from dpbench.core.cache import weights_hash
from dpbench.core.config import option, values_of
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.method import Method, Preset, required
from dpbench.core.specs import CONDITIONS, Batch, Condition, Conditions, DatasetSpec, Request
from dpbench.core.track import Track, joint_track
from dpbench.methods.cores.tokens.token_settings import SCENES, TWO_CORES, ImageTokenizerSettings, TokenModelSettings
from dpbench.models.token_order import one_by_one, scale_by_scale
from dpbench.privacy.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor

    from dpbench.methods.cores.tokens.image_tokenizer import ImageTokenizer
    from dpbench.privacy.private_data import PrivateData

FINETUNE = "finetune"
"""Name of the DP-SGD mechanism."""

COPIES: Mapping[str, Callable[[Tensor], list[Tensor]]] = {
    "none": lambda images: [images],
    "flip": lambda images: [images, images.flip(-1)],
}
"""The equally likely copies of private images, for each value of `private_augmentation`."""


@dataclass(frozen=True)
class DPARConfig(TokenModelSettings, ImageTokenizerSettings):
    """Settings of tokenizer and transformer."""

    private_augmentation: Literal["none", "flip"] = option(
        "none", "augmentation of private images; flip: each view of a record is mirrored with probability 1/2"
    )


class DPAR(Method[DPARConfig]):
    """An autoregressive model of the tokens of whole images, pretrained on public ones, finetuned by DP-SGD.

    A convolutional tokenizer turns an image into a grid of tokens in raster order (like DP-LlamaGen), or into grids
    from coarse to fine (order=next-scale, like VAR). Each of these grids quantises the residual of the coarser ones,
    and its tokens are sampled at once. The class is one prefix token; the words of a caption are several. The tokens of
    a private image are one record.
    """

    Config = DPARConfig
    version = "1"
    track = "images"
    conditions: ClassVar[frozenset[Condition]] = CONDITIONS
    paper = "arXiv 2507.11441"
    presets: ClassVar[Mapping[str, Preset]] = {
        "small": Preset(TWO_CORES),
        "small/mnist": Preset(
            {
                "augmentation": "strokes",
                "tokenizer_dim": 96,
                "tokenizer_steps": 2000,
                "public_steps": 5000,
            }
        ),
        "small/shapes": Preset(
            {
                "augmentation": "none",
                "codes": 256,
                "tokenizer_steps": 600,
                "dim": 64,
                "depth": 2,
                "public_steps": 2000,
                "batch": 96,
                "steps": 400,
                "lr": 4e-3,
                "ema": 0.5,
                "guidance": 1.4,
                "temperature": 0.85,
            }
        ),
        "small/scenes": Preset(SCENES),
        "gpu": Preset(
            {
                "patch": 4,
                "codes": 1024,
                "tokenizer_dim": 128,
                "tokenizer_depth": 3,
                "tokenizer_steps": 3000,
                "tokenizer_batch": 256,
                "dim": 256,
                "depth": 6,
                "heads": 8,
                "public_steps": 6000,
                "public_batch": 256,
                "batch": 1024,
                "steps": 2000,
                "lr": 1e-3,
                "ema": 0.95,
            }
        ),
        "gpu/mnist": Preset({"augmentation": "strokes"}),
        "paper": Preset(
            {
                "order": "next-scale",
                "patch": 16,  # VAR-d16 at 256 pixels: 10 grids, 680 tokens
                "grids": (1, 2, 3, 4, 5, 6, 8, 10, 13),
                "codes": 4096,
                "code_dim": 32,
                "dim": 1024,
                "depth": 16,
                "heads": 16,
                "tokenizer_dim": 512,  # from here to public_lr our own sizes: the authors load VAR trained on ImageNet
                "tokenizer_depth": 6,
                "tokenizer_steps": 200_000,
                "tokenizer_batch": 256,
                "perceptual": 0.1,
                "adversarial": 0.1,
                "public_steps": 200_000,
                "public_batch": 256,
                "public_lr": 3e-4,
                "trainable": "lora",
                "modules": "attention|mlp",  # qkv, projection, MLP; this transformer has no adaptive norms
                "rank": 16,
                "alpha": 32.0,
                "lr": 5e-4,
                "clip": 0.1,
                "batch": 10,  # q = 0.01 of the 1,020 training images of Flowers-102
                "steps": 10_000,  # 100 epochs
                "views": 128,
                "private_augmentation": "flip",  # makes two images of one, so most views repeat others
                "guidance": 1.5,
                "top_p": 0.96,
            }
        ),
    }

    def __init__(self, config: DPARConfig, spec: DatasetSpec):
        super().__init__(config, spec)
        from torch import nn

        from dpbench.methods.cores.tokens.token_model import TokenModel

        self.tokenizer = self._new_tokenizer()
        sides = self.tokenizer.sides
        order = one_by_one(sides[0] ** 2) if config.order == "raster" else scale_by_scale(sides)
        self.model = TokenModel(config, self.tokenizer.encode, self.tokenizer.vocabulary, order, spec)
        self.parts = nn.ModuleDict({"tokenizer": self.tokenizer, "transformer": self.model.transformer})

    def _new_tokenizer(self) -> ImageTokenizer:
        from dpbench.methods.cores.tokens.image_tokenizer import ImageTokenizer

        return ImageTokenizer(self.spec.channels, self.config.sides(self.spec.resolution), self.config)

    @classmethod
    def track_of(cls, config: DPARConfig) -> Track:
        """The track is "foundation" with a pretrained text encoder."""
        return joint_track(cls.track, config.text_track)

    @classmethod
    def weights_of(cls, config: DPARConfig) -> Mapping[str, str]:
        """The weights of the text encoder."""
        return config.text_weights

    @classmethod
    def plan(cls, config: DPARConfig, spec: DatasetSpec, request: Request) -> Plan:
        """One mechanism: DP-SGD on the tokens of all images.

        Raises:
            ConfigError: the grids of tokens do not fit the resolution, or there are no captions to encode.
        """
        config.sides(spec.resolution)
        config.check_captions(spec)
        return Plan(config.mechanism(FINETUNE, spec))

    def prepare(self, public: ImageDataset | None, run: RunContext) -> None:
        """Trains tokenizer and transformer on public images; see `Method.prepare`.

        Raises:
            ConfigError: there is no public dataset.
        """
        public = required(public)
        c = self.config
        key: dict[str, Any] = {"public": public.fingerprint, "augmentation": c.augmentation, "version": self.version}
        key |= values_of(c, ImageTokenizerSettings)
        tokenizer = run.cache.get("image-tokenizer", key, lambda g: self._learn(public, replace(run, generator=g)))
        self.tokenizer.load_state_dict(tokenizer)
        self.tokenizer.to(run.device).eval()
        key |= {"tokenizer": weights_hash(tokenizer), **self.model.pretraining_key}
        transformer = run.cache.get(
            "token-model", key, lambda g: self.model.pretrained(public, replace(run, generator=g))
        )
        self.model.load_public_weights(transformer, run.generator)
        self.model.transformer.to(run.device)

    def _learn(self, public: ImageDataset, run: RunContext) -> dict[str, Tensor]:
        from dpbench.training.public_batches import PublicBatches

        c, tokenizer = self.config, self._new_tokenizer().to(run.device)
        augmentation = c.of_tokenizer(c.augmentation)
        tokenizer.learn(c, PublicBatches(public, augmentation, run.device, run.generator), run)
        return dict(tokenizer.state_dict())

    def fit(self, private: PrivateData, run: RunContext) -> None:
        """Finetunes the transformer on the tokens of the private images; see `Method.fit`."""
        self.tokenizer.to(run.device).eval()
        self.model.finetune(private.derive(self.tokens), FINETUNE, run)

    def tokens(self, batch: Batch) -> Tensor:
        """The tokens of each record's copies, of which every view draws one: int64 [b, copies, T]."""
        import torch

        from dpbench.models.image_range import unit_images

        copies = COPIES[self.config.private_augmentation](unit_images(batch))
        return torch.stack([self.tokenizer.encode(images) for images in copies], dim=1)

    def sample(self, conditions: Conditions, run: RunContext) -> Tensor:
        """Samples and decodes tokens; see `Method.sample`."""
        import torch

        from dpbench.models.image_range import to_uint8

        with torch.inference_mode():
            tokens = self.model.sample(self.model.condition.asked(conditions), conditions.count, run)
            return to_uint8(self.tokenizer.to(run.device).eval().decode(tokens))

    def state_dict(self) -> dict[str, Tensor]:
        """Weights of tokenizer and transformer."""
        return dict(self.parts.state_dict())

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """See `Method.load_state_dict`."""
        self.parts.load_state_dict(dict(state))

    def parameters(self) -> tuple[int, int]:
        """(number of weights trained privately, number of weights of tokenizer and transformer)."""
        return self.model.trained, super().parameters()[1]
