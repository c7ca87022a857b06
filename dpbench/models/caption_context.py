"""The words of a caption as the context of cross-attention."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PLACE = 0.2
"""Standard deviation of the initial position vectors; word vectors have about 0.6."""


class CaptionContext(ABC, nn.Module):
    """Turns words into vectors for cross-attention, with a mask of the vectors to attend to."""

    @abstractmethod
    def forward(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """Float [b, words, d], 0 where there is no word -> (context float [b, t, width], mask bool [b, t]).

        Attention ignores vectors where the mask is False.
        """


class ProjectedWords(CaptionContext):
    """A trained projection of words, plus a trained vector for their position in the caption.

    Word vectors are first scaled to norm √d, because norms differ between encoders. A token before the first word is
    always attended to, so a caption without words is also a condition. Padding is not attended to.

    Args:
        length: maximum number of words of a caption.
        dim: d, size of a word vector.
        width: size of a vector that cross-attention sees.
    """

    def __init__(self, length: int, dim: int, width: int):
        super().__init__()
        self.words = nn.Linear(dim, width, bias=False)
        self.place = nn.Embedding(1 + length, width)
        nn.init.normal_(self.place.weight, std=PLACE)

    def forward(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """See `CaptionContext`; t is one more than the number of words."""
        given = (words != 0).any(-1)
        mask = torch.cat([torch.ones_like(given[:, :1]), given], dim=1)
        scaled = F.normalize(words, dim=-1) * math.sqrt(words.shape[-1])
        places = torch.arange(mask.shape[1], device=words.device).expand(mask.shape)
        return self.words(F.pad(scaled, (0, 0, 1, 0))) + self.place(places), mask


class PublishedWords(CaptionContext):
    """Words as a text encoder returns them, for a network that was trained with it. Nothing is trained.

    Args:
        empty: the empty text, which stands for a caption without words: float [words, d].
    """

    empty: Tensor

    def __init__(self, empty: Tensor):
        super().__init__()
        self.register_buffer("empty", empty, persistent=False)

    def forward(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """See `CaptionContext`."""
        is_empty = (words == 0).all(-1).all(-1)[:, None, None]
        context = torch.where(is_empty, self.empty, words)
        return context, (context != 0).any(-1)
