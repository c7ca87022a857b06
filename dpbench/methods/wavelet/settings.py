"""Settings of the wavelet method, one class per stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dpbench.core.config import Choice, option, plugin_option
from dpbench.core.errors import ConfigError
from dpbench.core.registries import REFINERS
from dpbench.methods.cores.tokens.token_settings import TokenizerTraining, TokenModelSettings


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
        if self.tokenizer_dim % self.tokenizer_heads:
            raise ConfigError(f"{self.tokenizer_heads} heads do not divide a tokenizer_dim of {self.tokenizer_dim}")


@dataclass(frozen=True)
class CoarseSettings(TokenModelSettings):
    """Settings of the coarse stage."""

    tokens: Literal["ll", "all"] = option("ll", "tokens modelled privately: coarse band or all bands")
    order: Literal["scale", "raster"] = option("scale", "token order for tokens=all: by scale or by position")


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
class WaveletConfig(CorruptionSettings, CentralSettings, CoarseSettings, TokenizerTraining, TokenizerSettings):
    """Settings of the wavelet method."""

    coarse: Literal["model", "real"] = option("model", "real: use real coarse bands (no privacy), ignoring prompts")
    refiner: Choice = plugin_option("regression", REFINERS, "detail stage")

    def __post_init__(self) -> None:
        TokenizerSettings.__post_init__(self)
        CoarseSettings.__post_init__(self)
