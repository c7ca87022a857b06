"""Settings of the wavelet method, one class per stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dpbench.core.config import Choice, option, plugin_option
from dpbench.core.errors import ConfigError
from dpbench.core.registries import REFINERS
from dpbench.privacy.dp_sgd_settings import DPSGDSettings
from dpbench.training.augmentation import Augmentation


@dataclass(frozen=True)
class TokenizerSettings:
    """Sizes of the spectral tokenizer."""

    levels: int = option(2, "number of Haar levels above the coarse band", low=1)
    patch: int = option(2, "side of a token's patch in the coarse band", low=1)
    codes: int = option(512, "codebook entries for the coarse band", low=1)
    detail_codes: int = option(512, "codebook entries for all detail bands together", low=1)
    code_dim: int = option(16, "dimension of a code", low=1)
    tokenizer_dim: int = option(64, "width of the tokenizer's transformers", low=1)
    tokenizer_depth: int = option(2, "transformer blocks of the tokenizer's encoder and of its decoder", low=1)
    tokenizer_heads: int = option(4, "attention heads of the tokenizer's transformers", low=1)

    def __post_init__(self) -> None:
        if min(self.codes, self.detail_codes, self.code_dim, self.tokenizer_depth, self.tokenizer_heads) < 1:
            raise ConfigError("codes, detail_codes, code_dim, tokenizer_depth and tokenizer_heads must be at least 1")
        if self.tokenizer_dim % self.tokenizer_heads:
            raise ConfigError(f"{self.tokenizer_heads} heads do not divide a tokenizer_dim of {self.tokenizer_dim}")


@dataclass(frozen=True)
class TokenizerTraining(TokenizerSettings):
    """Training settings of the tokenizer. Loss weights follow SIT, relative to a mean squared error of weight 1."""

    tokenizer_steps: int = option(1000, "public training steps of the tokenizer", low=1)
    tokenizer_batch: int = option(64, "public images per step of the tokenizer", low=1)
    tokenizer_lr: float = option(2e-3, "peak learning rate of the tokenizer (AdamW)", above=0, high=10)
    commitment: float = option(0.25, "weight of the commitment loss", low=0)
    perceptual: float = option(0.0, "weight of the perceptual loss in discriminator features; 0.1 as published", low=0)
    adversarial: float = option(0.0, "weight of the adversarial loss; 0.1 as published", low=0)


@dataclass(frozen=True)
class CoarseSettings(DPSGDSettings):
    """Settings of the coarse stage."""

    tokens: Literal["ll", "all"] = option("ll", "tokens modelled privately: coarse band or all bands")
    order: Literal["scale", "raster"] = option("scale", "token order for tokens=all: by scale or by position")
    dim: int = option(128, "width of the transformer", low=1)
    depth: int = option(4, "blocks of the transformer", low=1)
    heads: int = option(4, "attention heads of the transformer", low=1)
    public_steps: int = option(1500, "public pretraining steps of the transformer", low=1)
    public_batch: int = option(128, "public images per pretraining step", low=1)
    public_lr: float = option(1e-3, "peak learning rate of public pretraining (AdamW)", above=0, high=10)
    label_dropout: float = option(
        0.1, "probability of dropping a label in training; must be positive for guidance", low=0, below=1
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
        if self.guidance != 1 and not self.label_dropout:
            raise ConfigError("guidance needs a model trained with label_dropout above 0; set it, or set guidance=1")
        if self.heads < 1 or self.dim % self.heads:
            raise ConfigError(f"{self.heads} heads do not divide a dim of {self.dim}")


@dataclass(frozen=True)
class CentralSettings:
    """Settings of the warm-up on central images."""

    central_noise: float = option(0.0, "noise multiplier of the central coarse images; 0 disables the warm-up", low=0)
    central_steps: int = option(300, "warm-up steps on the central images (post-processing)", low=1)


@dataclass(frozen=True)
class CorruptionSettings:
    """Corruption of the refiner's training inputs."""

    flip: float = option(0.05, "share of tokens replaced at random in the refiner's training inputs", low=0, high=1)
    noise: float = option(0.05, "standard deviation of noise on the refiner's training inputs in [-1, 1]", low=0)


@dataclass(frozen=True)
class WaveletConfig(CorruptionSettings, CentralSettings, CoarseSettings, TokenizerTraining):
    """Settings of the wavelet method."""

    augmentation: Augmentation = option("flip", "augmentation of public images")
    coarse: Literal["model", "real"] = option("model", "real: use real coarse bands (no privacy)")
    refiner: Choice = plugin_option("regression", REFINERS, "detail stage")

    def __post_init__(self) -> None:
        TokenizerSettings.__post_init__(self)
        CoarseSettings.__post_init__(self)
