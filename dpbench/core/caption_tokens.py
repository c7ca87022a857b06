"""The captions of records as token numbers of one shape, whatever their number and lengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dpbench.core.captions import split_captions

if TYPE_CHECKING:
    from torch import Tensor

NO_TOKEN = -1
"""Stands where a caption has no token, or a record no caption."""

Tokenize = Callable[[str, int], Sequence[int]]
"""One text and the most tokens wanted -> token numbers; see `TextEncoder.tokenize`."""


def caption_tokens(texts: Sequence[str], tokenize: Tokenize, captions: int, length: int) -> Tensor:
    """The tokens of each caption of each record: int32 [b, captions, length], filled up with `NO_TOKEN`.

    Captions without tokens are left out, and so are those after the first `captions`.

    Args:
        texts: the captions of each record as one text; see `core.captions`.
        tokenize: sees one caption at a time.
        captions: most captions of a record.
        length: most tokens of a caption.
    """
    import numpy as np
    import torch

    filled = np.full((len(texts), captions, length), NO_TOKEN, dtype=np.int32)
    for row, text in zip(filled, texts, strict=True):
        found = filter(None, (list(tokenize(caption, length)) for caption in split_captions(text)))
        for place, tokens in zip(row, found, strict=False):
            place[: len(tokens)] = tokens
    return torch.from_numpy(filled)
