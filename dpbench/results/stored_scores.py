"""The content of scores.json: a trial's scores, and what they depend on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from dpbench.core.outcomes import Packed


@dataclass(frozen=True)
class StoredScores:
    """A trial's scores. The attributes are those of `evaluation.scores.Scores`."""

    values: dict[str, float | None]
    missing: dict[str, str]
    protocol: dict[str, Annotated[int, Field(ge=0, lt=2**63)] | str | dict[str, str]]
    caveats: tuple[str, ...]
    seconds: dict[str, float]
    ci95: dict[str, float]
    outcomes: dict[str, Packed] = field(default_factory=dict)  # empty in files by earlier versions
    scored: dict[str, dict[str, str]] = field(default_factory=dict)
