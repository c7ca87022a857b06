"""The state of an object as the states of its parts: a tensor of a part is named "part.name"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


def joined(parts: Mapping[str, Mapping[str, T]]) -> dict[str, T]:
    """The state with these parts; an empty part leaves no trace."""
    return {f"{part}.{name}": value for part, state in parts.items() for name, value in state.items()}


def part_of(state: Mapping[str, T], part: str) -> dict[str, T]:
    """The part with this name, as it was joined; empty if the state has none."""
    prefix = f"{part}."
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
