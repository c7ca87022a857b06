"""Settings of methods that turn images into tokens and model the tokens with a transformer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from dpbench.core.config import option, values_of
from dpbench.core.errors import ConfigError
from dpbench.methods.cores.public_training import PublicTraining
from dpbench.models.caption_settings import CaptionSettings
from dpbench.models.guidance import check_guidance
from dpbench.privacy.dp_sgd_settings import DPSGDSettings
from dpbench.training.augmentation import Augmentation

TWO_CORES: Mapping[str, Any] = MappingProxyType(
    {
        "dim": 96,
        "depth": 3,
        "public_steps": 3000,
        "public_batch": 64,
        "batch": 192,
        "steps": 1500,
        "lr": 3e-3,
    }
)
"""Settings for two CPU cores: many small private steps, as tuned for `wavelet` on MNIST."""

SCENES: Mapping[str, Any] = MappingProxyType(
    {
        "augmentation": "colours",  # the private objects have other colours; captions name left and right, so no flips
        "text_tokens": 24,  # words of the longest caption
        "tokenizer_dim": 48,
        "tokenizer_depth": 1,
        "codes": 1024,
        "tokenizer_steps": 3000,
        "tokenizer_batch": 32,
        "dim": 96,
        "depth": 3,
        "public_steps": 2000,
        "public_batch": 64,
        "public_lr": 3e-3,
        "batch": 256,
        "steps": 400,
        "lr": 7e-4,
        "ema": 0.98,
        "guidance": 1.5,
    }
)
"""Settings for the captioned scenes of 64 pixels."""


@dataclass(frozen=True)
class TokenizerTraining:
    """Training settings of a tokenizer. Loss weights follow SIT, relative to a mean squared error of weight 1."""

    tokenizer_steps: int = option(1000, "public training steps of the tokenizer", low=1)
    tokenizer_batch: int = option(64, "public images per step of the tokenizer", low=1)
    tokenizer_lr: float = option(2e-3, "peak learning rate of the tokenizer (AdamW)", above=0, high=10)
    commitment: float = option(0.25, "weight of the commitment loss", low=0)
    perceptual: float = option(0.0, "weight of the perceptual loss in discriminator features; 0.1 as published", low=0)
    adversarial: float = option(0.0, "weight of the adversarial loss; 0.1 as published", low=0)
    tokenizer_augmentation: Literal["same", Augmentation] = option(
        "same", "augmentation of the tokenizer's images, which need no captions; same: as for the other public images"
    )

    def of_tokenizer(self, others: Augmentation) -> Augmentation:
        """The augmentation of the tokenizer's images; `others` is the augmentation of the other public images."""
        return others if self.tokenizer_augmentation == "same" else self.tokenizer_augmentation


@dataclass(frozen=True)
class ImageTokenizerSettings(TokenizerTraining):
    """Sizes and training of the convolutional tokenizer of whole images."""

    patch: int = option(8, "side of a token's image patch; the finest grid has resolution/patch tokens per side", low=1)
    order: Literal["raster", "next-scale"] = option(
        "raster", "raster: one grid, token by token; next-scale: grids from coarse to fine, each sampled at once"
    )
    grids: tuple[int, ...] = option(
        (), "sides of the coarser grids of order=next-scale; empty: 1, 2, 4, ... below the finest", low=1
    )
    codes: int = option(512, "codebook entries", low=1)
    code_dim: int = option(16, "dimension of a code", low=1)
    tokenizer_dim: int = option(64, "channels of the tokenizer's convolutions", low=1)
    tokenizer_depth: int = option(2, "residual blocks of the tokenizer's encoder and of its decoder", low=1)

    def sides(self, resolution: int) -> tuple[int, ...]:
        """Height and width of each grid of tokens, coarsest first.

        Raises:
            ConfigError: the patches do not divide the image, or the grids do not grow.
        """
        if resolution % self.patch:
            raise ConfigError(
                f"patches of {self.patch} do not divide {resolution} pixels; set patch to a divisor of the resolution"
            )
        finest = resolution // self.patch
        if self.order == "raster":
            return (finest,)
        coarser = self.grids or tuple(2**k for k in range(finest.bit_length()) if 2**k < finest)
        sides = (*coarser, finest)
        if sorted(set(sides)) != list(sides):
            raise ConfigError(f"grids={coarser} must grow and stay below the finest grid of {finest}x{finest} tokens")
        return sides


@dataclass(frozen=True)
class TokenModelSettings(PublicTraining, CaptionSettings, DPSGDSettings):
    """Settings of the transformer: sizes, public and private training, sampling."""

    dim: int = option(128, "width of the transformer", low=1)
    depth: int = option(4, "blocks of the transformer", low=1)
    heads: int = option(4, "attention heads of the transformer", low=1)
    public_steps: int = option(1500, "public pretraining steps of the transformer", low=1)
    public_lr: float = option(1e-3, "peak learning rate of public pretraining (AdamW)", above=0, high=10)
    label_dropout: float = option(
        0.1, "probability of dropping a label or caption in training; must be positive for guidance", low=0, below=1
    )
    scatter: float = option(
        1.0, "spread of the initial private class embeddings, relative to the token embeddings; 0: identical", low=0
    )
    trainable: Literal["all", "lora", "chosen"] = option(
        "all", "weights trained privately, in addition to class embeddings"
    )
    modules: str = option("attention|mlp", "regular expression for layer names; for trainable=lora and chosen")
    rank: int = option(8, "rank of the adapters of trainable=lora", low=1)
    alpha: float = option(8.0, "strength of the adapters of trainable=lora", above=0)
    temperature: float = option(1.0, "sampling temperature; divides the logits", above=0)
    top_p: float = option(1.0, "nucleus sampling: total probability of the tokens kept", above=0, high=1)
    guidance: float = option(1.0, "weight of classifier-free guidance; 1 disables it", low=0)

    def __post_init__(self) -> None:
        check_guidance(self.guidance, self.label_dropout)
        if self.dim % self.heads:
            raise ConfigError(f"{self.heads} heads do not divide a dim of {self.dim}")

    def pretraining_settings(self) -> Mapping[str, Any]:
        """The settings that the pretrained transformer depends on."""
        own = {name: getattr(self, name) for name in ("dim", "depth", "heads", "label_dropout")}
        return {**values_of(self, PublicTraining), **own}
