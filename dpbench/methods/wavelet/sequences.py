"""The token sequences that the coarse stage models: which tokens of an image, and in which order."""

from __future__ import annotations

import torch
from torch import Tensor

from dpbench.methods.wavelet.spectral_tokenizer import SpectralTokenizer


class Sequences:
    """The tokens of a spectral tokenizer in the order of the setting `order`.

    Args:
        tokenizer: encodes images to tokens.
        order: "scale": all tokens of a scale, then the next scale; "raster": all scales of a position, then the next
            position.

    Attributes:
        allowed: bool [T, V], the tokens allowed at each position: those of the codebook of its scale; None with a
            single codebook.
    """

    def __init__(self, tokenizer: SpectralTokenizer, order: str):
        self.tokenizer = tokenizer
        position = torch.arange(tokenizer.length(tokenizer.depth))
        by_place = position.reshape(tokenizer.depth, -1).T.flatten()
        self._order = {"scale": position, "raster": by_place}[order]
        self.allowed: Tensor | None = None
        if tokenizer.depth > 1:
            is_approximation = torch.arange(tokenizer.vocabulary) < len(tokenizer.approximation)
            at_approximation = self._order < tokenizer.scales.tokens
            self.allowed = at_approximation[:, None] == is_approximation[None, :]

    def __len__(self) -> int:
        """Tokens per sequence T."""
        return len(self._order)

    def encode(self, images: Tensor) -> Tensor:
        """Float images [b, c, h, w] in [-1, 1] -> token sequences int64 [b, T]."""
        return self.tokenizer.encode(images)[:, self._order.to(images.device)]

    def decode(self, sequences: Tensor) -> Tensor:
        """Token sequences int64 [b, T] -> float images [b, c, side, side]."""
        return self.tokenizer.decode(sequences[:, self._order.argsort().to(sequences.device)])
