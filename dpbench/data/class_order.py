"""The order of class names, which numbers the classes from 0."""

from __future__ import annotations

import re
from collections.abc import Iterable


def class_order(names: Iterable[str]) -> tuple[str, ...]:
    """Class names in the order of their numbers: by value if all of them are integers, alphabetically otherwise."""
    unique = set(names)
    whole = all(re.fullmatch(r"-?\d+", name) for name in unique)
    return tuple(sorted(unique, key=lambda name: (int(name) if whole else 0, name)))
