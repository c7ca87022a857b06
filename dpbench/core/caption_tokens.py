"""The captions of records as token numbers: one shape for all records, whatever their captions' number and lengths."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dpbench.core.captions import split_captions

if TYPE_CHECKING:
    from torch import Tensor

NO_TOKEN = -1
"""Fills positions where a caption has no token, or a record no caption."""

Tokenize = Callable[[str, int], Sequence[int]]
"""(text, maximum number of tokens) -> token numbers; see `TextEncoder.tokenize`."""


def caption_tokens(texts: Sequence[str], tokenize: Tokenize, captions: int, length: int) -> Tensor:
    """The tokens of each caption of each record: int32 [b, captions, length], padded with `NO_TOKEN`.

    Captions without tokens are left out, and so are captions after the first `captions`.

    Args:
        texts: the captions of each record as one text; see `core.captions`.
        tokenize: sees one caption at a time.
        captions: maximum number of captions per record.
        length: maximum number of tokens per caption.
    """
    import numpy as np
    import torch

    filled = np.full((len(texts), captions, length), NO_TOKEN, dtype=np.int32)
    for row, text in zip(filled, texts, strict=True):
        found = filter(None, (list(tokenize(caption, length)) for caption in split_captions(text)))
        for place, tokens in zip(row, found, strict=False):
            place[: len(tokens)] = tokens
    return torch.from_numpy(filled)


@dataclass(frozen=True)
class Lost:
    """Counts of texts that `caption_tokens` shortened or found empty. A text is a record's captions, or a prompt.

    Attributes:
        texts: number of texts.
        cut: number of texts with a caption of more tokens than fit.
        empty: number of texts without tokens.
    """

    texts: int = 0
    cut: int = 0
    empty: int = 0

    @classmethod
    def of(cls, texts: Sequence[str], tokens: Tensor, tokenize: Tokenize) -> Lost:
        """Counts what is lost.

        Args:
            texts: the texts given to `caption_tokens`.
            tokens: its result.
            tokenize: the tokenizer given to it. Text that an encoder cannot read at any length is not counted.
        """
        length = tokens.shape[2]
        full = (tokens[:, :, -1] != NO_TOKEN).any(1).tolist()
        longer = (
            any(len(tokenize(caption, length + 1)) > length for caption in split_captions(text))
            for text, is_full in zip(texts, full, strict=True)
            if is_full
        )
        return cls(len(texts), sum(longer), int((tokens[:, 0, 0] == NO_TOKEN).sum()))

    def __add__(self, other: Lost) -> Lost:
        """The sums of the counts."""
        return Lost(self.texts + other.texts, self.cut + other.cut, self.empty + other.empty)

    def warn(self, what: str) -> None:
        """Warns with the counts, if anything is lost.

        Args:
            what: the texts' name in the message, such as "prompts".
        """
        if self.cut:
            warnings.warn(
                f"{self.cut:,} of {self.texts:,} {what} are longer than text_tokens and are cut", stacklevel=2
            )
        if self.empty:
            warnings.warn(f"{self.empty:,} of {self.texts:,} {what} have no tokens and say nothing", stacklevel=2)
