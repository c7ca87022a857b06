"""What the private coarse stage does to an image, as the public detail stage must learn to undo it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dpbench.core.refiner import Degrade
from dpbench.methods.wavelet.settings import CorruptionSettings
from dpbench.methods.wavelet.tokenizer import SpectralTokenizer


class Retokenised(Degrade):
    """Image -> tokens of its LL band, some of them replaced at random -> LL band with noise.

    Coarse images drawn by a private model lie off the clean distribution; a refiner that has only seen clean ones would
    draw detail for their mistakes.

    Args:
        tokenizer: of the coarse stage.
        settings: share of replaced tokens, standard deviation of the noise.
        key: what the tokenizer depends on.
    """

    def __init__(self, tokenizer: SpectralTokenizer, settings: CorruptionSettings, key: Any):
        self.tokenizer = tokenizer
        self.settings = settings
        self.key = {"tokenizer": key, "flip": settings.flip, "noise": settings.noise}

    @torch.no_grad()
    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """See `Degrade`."""
        tokens = self.tokenizer.encode(images, 1)
        flipped = torch.rand(tokens.shape, generator=generator).to(tokens.device) < self.settings.flip
        codes = len(self.tokenizer.approximation)
        random = torch.randint(codes, tokens.shape, generator=generator).to(tokens.device)
        clean = self.tokenizer.decode(torch.where(flipped, random, tokens))
        return clean + self.settings.noise * torch.randn(clean.shape, generator=generator).to(clean)
