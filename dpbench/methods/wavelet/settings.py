"""Settings of the wavelet method, stage by stage."""

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

    levels: int = option(2, "Haar levels between the image and its coarse band")
    patch: int = option(2, "side of a token's patch in the coarse band")
    codes: int = option(512, "entries of the codebook of the coarse band")
    detail_codes: int = option(512, "entries of the codebook that all detail bands share")
    code_dim: int = option(16, "dimension of a code")
    tokenizer_dim: int = option(64, "width of the tokenizer's transformers")
    tokenizer_depth: int = option(2, "blocks of its encoder, and of its decoder")
    tokenizer_heads: int = option(4, "attention heads of its transformers")

    def __post_init__(self) -> None:
        if min(self.codes, self.detail_codes, self.code_dim, self.tokenizer_depth, self.tokenizer_heads) < 1:
            raise ConfigError("codes, detail_codes, code_dim, tokenizer_depth and tokenizer_heads must be at least 1")
        if self.tokenizer_dim % self.tokenizer_heads:
            raise ConfigError(f"{self.tokenizer_heads} heads do not divide a tokenizer_dim of {self.tokenizer_dim}")


@dataclass(frozen=True)
class TokenizerTraining(TokenizerSettings):
    """How the tokenizer is trained; the weights of the losses are SIT's, with a mean squared error of weight 1."""

    tokenizer_steps: int = option(1000, "public training steps of the tokenizer")
    tokenizer_batch: int = option(64, "public images per step of the tokenizer")
    tokenizer_lr: float = option(2e-3, "peak learning rate of the tokenizer (AdamW)")
    commitment: float = option(0.25, "weight of the commitment loss")
    perceptual: float = option(0.0, "weight of the distance in a discriminator's features; 0.1 as published")
    adversarial: float = option(0.0, "weight of the discriminator's judgement; 0.1 as published")


@dataclass(frozen=True)
class CoarseSettings(DPSGDSettings):
    """Settings of the coarse stage."""

    tokens: Literal["ll", "all"] = option("ll", "what is learnt privately: tokens of the coarse band, or of all bands")
    order: Literal["scale", "raster"] = option("scale", "of tokens=all: scale by scale, or place by place")
    dim: int = option(128, "width of the transformer")
    depth: int = option(4, "blocks of the transformer")
    heads: int = option(4, "attention heads of the transformer")
    public_steps: int = option(1500, "public pretraining steps of the transformer")
    public_batch: int = option(128, "public images per pretraining step")
    public_lr: float = option(1e-3, "peak learning rate of public pretraining (AdamW)")
    label_dropout: float = option(0.1, "probability with which training hides a label; guidance needs some")
    scatter: float = option(
        1.0, "spread of the private classes' first embeddings, in that of the tokens'; 0: all alike"
    )
    trainable: Literal["all", "lora", "chosen"] = option("all", "weights trained privately, besides class embeddings")
    modules: str = option("attention|mlp", "for lora and chosen: regular expression, found in names of layers")
    rank: int = option(8, "rank of the adapters of trainable=lora")
    alpha: float = option(8.0, "strength of the adapters of trainable=lora")
    temperature: float = option(1.0, "divides the logits when sampling")
    top_p: float = option(1.0, "samples from the likeliest tokens of this total probability")
    guidance: float = option(1.0, "weight of classifier-free guidance when sampling; 1 for none")

    def __post_init__(self) -> None:
        if self.guidance != 1 and not self.label_dropout:
            raise ConfigError("guidance needs a model that was trained with some label_dropout; or set guidance=1")
        if self.heads < 1 or self.dim % self.heads:
            raise ConfigError(f"{self.heads} heads do not divide a dim of {self.dim}")


@dataclass(frozen=True)
class CentralSettings:
    """Settings of the warm-up."""

    central_noise: float = option(0.0, "noise multiplier of the class-central coarse images; 0 for no warm-up")
    central_steps: int = option(300, "warm-up steps on the central images (post-processing)")


@dataclass(frozen=True)
class CorruptionSettings:
    """How the inputs of the refiner's training are corrupted."""

    flip: float = option(0.05, "share of tokens replaced at random in the refiner's training inputs")
    noise: float = option(0.05, "noise added to the refiner's training inputs, images being in [-1, 1]")


@dataclass(frozen=True)
class WaveletConfig(CorruptionSettings, CentralSettings, CoarseSettings, TokenizerTraining):
    """Settings of the wavelet method."""

    augmentation: Augmentation = option("flip", "how public images are varied")
    coarse: Literal["model", "real"] = option("model", "real puts real coarse bands in place of drawn ones: no privacy")
    refiner: Choice = plugin_option("regression", REFINERS, "detail stage")

    def __post_init__(self) -> None:
        TokenizerSettings.__post_init__(self)
        CoarseSettings.__post_init__(self)
