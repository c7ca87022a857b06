"""The track of a method or of a part of it: the knowledge that it has besides the private data."""

from __future__ import annotations

from typing import Any, Literal

Track = Literal["none", "images", "foundation"]
"""Knowledge besides the private data: none, public images, or weights pretrained elsewhere."""


def joint_track(*tracks: Track) -> Track:
    """The track of something that combines the knowledge of several parts."""
    order: tuple[Any, ...] = ("none", "images", "foundation")
    return max(tracks, key=order.index)
