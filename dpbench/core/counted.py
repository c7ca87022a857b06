"""Numbers of things in messages."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """A number with its noun: "no images", "1 image", "2 images".

    Args:
        count: at least 0.
        noun: the singular of a noun whose plural ends with s.
    """
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"
