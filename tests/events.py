"""What happened in a test, in order: "train", "test", "prepare", "fit", "sample", and names of metrics.

A module of its own: variables of a method's own modules must not change while it works.
"""

from __future__ import annotations

EVENTS: list[str] = []
