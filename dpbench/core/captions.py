"""Captions as tensors: UTF-8 bytes padded with zeros to one length, so that their shape says nothing about a record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def encode_captions(captions: Sequence[str], length: int | None = None) -> Tensor:
    """Texts as zero-padded UTF-8: uint8 [b, length].

    Args:
        captions: b texts.
        length: bytes per caption, at least 1; longer texts are cut after the last character that fits. By default as
            many as the longest text has.
    """
    import numpy as np
    import torch

    encoded = [caption.encode() for caption in captions]
    length = max([1, *map(len, encoded)]) if length is None else length
    padded = np.array([_cut(text, length) for text in encoded], dtype=f"S{length}")
    return torch.from_numpy(padded.view(np.uint8).reshape(-1, length))


def decode_captions(captions: Tensor) -> list[str]:
    """The texts in uint8 [b, length]; bytes that are not UTF-8 are left out.

    It reads values on the host, so a `loss` or `contribution` cannot use it: those embed the bytes themselves.
    """
    return [bytes(row).rstrip(b"\0").decode(errors="ignore") for row in captions.tolist()]


def _cut(text: bytes, length: int) -> bytes:
    return text[:length].decode(errors="ignore").encode()
