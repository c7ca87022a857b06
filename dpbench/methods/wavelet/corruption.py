"""Corruption of the refiner's training inputs that imitates the errors of the private coarse stage."""

from __future__ import annotations

import torch
from torch import Tensor

from dpbench.core.cache import weights_hash
from dpbench.core.refiner import Degrade
from dpbench.methods.wavelet.settings import CorruptionSettings
from dpbench.methods.wavelet.spectral_tokenizer import SpectralTokenizer


class Retokenised(Degrade):
    """Encodes the LL band as tokens, replaces some tokens at random, decodes, and adds Gaussian noise.

    Coarse images sampled from a private model differ from clean ones. A refiner trained on clean images only would add
    detail to their errors.

    Args:
        tokenizer: the tokenizer of the coarse stage.
        settings: share of replaced tokens and standard deviation of the noise.
    """

    def __init__(self, tokenizer: SpectralTokenizer, settings: CorruptionSettings):
        self.tokenizer = tokenizer
        self.settings = settings
        self.key = {"tokenizer": weights_hash(tokenizer.state_dict()), "flip": settings.flip, "noise": settings.noise}

    @torch.no_grad()
    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """See `Degrade`."""
        tokens = self.tokenizer.encode(images)
        flipped = torch.rand(tokens.shape, generator=generator).to(tokens.device) < self.settings.flip
        codes = len(self.tokenizer.approximation)
        random = torch.randint(codes, tokens.shape, generator=generator).to(tokens.device)
        clean = self.tokenizer.decode(torch.where(flipped, random, tokens))
        return clean + self.settings.noise * torch.randn(clean.shape, generator=generator).to(clean)
