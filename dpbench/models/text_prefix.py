"""A caption as input of a sequence model: its tokens as a prefix, its pooled vector as a part of the condition."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dpbench.core.text_encoder import TextEncoding


@dataclass(frozen=True)
class TextSizes:
    """Sizes of encoded captions.

    Attributes:
        length: tokens of a caption P; shorter ones are padded.
        dim: size of a token's embedding.
        pooled_dim: size of the pooled vector.
    """

    length: int
    dim: int
    pooled_dim: int


class TextPrefix(nn.Module):
    """Projects encoded captions into a model.

    Embeddings are first scaled to norm 1, because norms differ between encoders. Padding becomes the same vector
    everywhere and is attended to, so attention does not depend on a caption's length, and a caption without tokens is
    the condition "none".

    Args:
        sizes: sizes of the encoded captions.
        dim: width of the model.
    """

    def __init__(self, sizes: TextSizes, dim: int):
        super().__init__()
        self.words = nn.Linear(sizes.dim, dim)
        self.place = nn.Embedding(sizes.length, dim)
        self.pooled = nn.Linear(sizes.pooled_dim, dim, bias=False)

    def forward(self, text: TextEncoding) -> tuple[Tensor, Tensor]:
        """(prefix [b, P, dim], condition [b, dim]); the condition is 0 for a caption without tokens."""
        mask = text.mask[..., None]
        words = torch.where(mask, F.normalize(text.tokens, dim=-1), 0)
        pooled = torch.where(mask.any(1), F.normalize(text.pooled, dim=-1), 0)
        places = torch.arange(words.shape[1], device=words.device).expand(words.shape[:2])
        return self.words(words) + self.place(places), self.pooled(pooled)
