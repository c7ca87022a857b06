"""What the private coarse stage does to an image, as the public detail stage must learn to undo it."""

from __future__ import annotations

import torch
from torch import Tensor

from dpbench.core.plugins import Degrade
from dpbench.methods.wavelet.tokenizer import PatchTokenizer
from dpbench.models.haar import coarse


class Retokenised(Degrade):
    """LL band -> tokens, some of them replaced at random -> LL band with noise.

    Coarse images drawn by a private model lie off the clean distribution; a refiner that has only seen clean ones would
    draw detail for their mistakes.

    Args:
        tokenizer: of the coarse stage.
        levels: Haar levels between the full and the coarse image.
        flip: share of tokens replaced by a random one.
        noise: standard deviation of the added Gaussian noise, images being in [-1, 1].
    """

    def __init__(self, tokenizer: PatchTokenizer, levels: int, flip: float, noise: float):
        self.tokenizer = tokenizer
        self.levels = levels
        self.flip = flip
        self.noise = noise
        self.key = {
            "codebook": [*tokenizer.codebook.shape, round(tokenizer.codebook.double().sum().item(), 6)],
            "patch": tokenizer.patch,
            "levels": levels,
            "flip": flip,
            "noise": noise,
        }

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """See `Degrade`."""
        tokens = self.tokenizer.encode(coarse(images, self.levels))
        flipped = torch.rand(tokens.shape, generator=generator).to(tokens.device) < self.flip
        random = torch.randint(len(self.tokenizer.codebook), tokens.shape, generator=generator).to(tokens.device)
        clean = self.tokenizer.decode(torch.where(flipped, random, tokens))
        return clean + self.noise * torch.randn(clean.shape, generator=generator).to(clean)
