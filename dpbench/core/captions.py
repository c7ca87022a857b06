"""Captions as tensors: UTF-8 bytes padded with zeros to one length, so their shape reveals nothing about a record.

A record is one image with all its captions. They are one text, with a line break (`SEPARATOR`) between captions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

SEPARATOR = "\n"
"""Stands between the captions of a record that has several; no caption contains it."""


def join_captions(captions: Iterable[str], length: int) -> str:
    """The captions of one record as one text of at most `length` bytes of UTF-8; "" if there are none.

    White space becomes single spaces, and empty captions are left out. Whole captions are kept as far as they fit, in
    the order given; if not even one fits, the first is cut.
    """
    lines = [line for caption in captions if (line := _one_line(caption))]
    if len((whole := SEPARATOR.join(lines)).encode()) <= length:
        return whole
    kept: list[str] = []
    for line in lines:
        if len(SEPARATOR.join([*kept, line]).encode()) <= length:
            kept.append(line)
    return SEPARATOR.join(kept) or _cut(lines[0].encode(), length).decode()


def split_captions(text: str) -> list[str]:
    """The captions of one record; none for an empty text."""
    return [line for line in text.split(SEPARATOR) if line]


def encode_captions(captions: Sequence[str], length: int | None = None) -> Tensor:
    """Texts as zero-padded UTF-8: uint8 [b, length].

    Args:
        captions: b texts.
        length: bytes per caption, at least 1; longer texts are cut after the last character that fits. By default the
            length of the longest text.
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


def _one_line(caption: str) -> str:
    """The caption in one line, without zeros (they are padding) and lone surrogates (JSON may contain them)."""
    whole = caption if caption.isascii() else caption.encode(errors="replace").decode()
    return " ".join(whole.replace("\0", " ").split())


def _cut(text: bytes, length: int) -> bytes:
    return text[:length].decode(errors="ignore").encode()
