"""Numbers and sizes of things in messages."""

from __future__ import annotations

UNITS = {1e9: "GB", 1e6: "MB", 1e3: "kB"}
"""Units of sizes, in bytes."""


def counted(count: int, noun: str) -> str:
    """A number with its noun: "no images", "1 image", "2 images".

    Args:
        count: at least 0.
        noun: the singular of a noun whose plural ends with s.
    """
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"


def sized(size: float) -> str:
    """A number of bytes in the largest unit that it fills, or in kB: "12.3 GB", "0.5 kB"."""
    unit = next((unit for unit in UNITS if size >= unit), 1e3)
    return f"{size / unit:.1f} {UNITS[unit]}"
