"""The content of scores.json: a trial's scores, and what they depend on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

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


def shown(scores: Mapping[str, Any], hidden: Mapping[str, str], caveats: Collection[str]) -> dict[str, Any]:
    """The part of a content of scores.json that may be shown (rule R9): no per-image outcomes, for example.

    Args:
        scores: the content, as JSON-like values.
        hidden: column -> why it must not be shown; it gets this reason in place of its value.
        caveats: the caveats that must not be shown.
    """
    return {
        **scores,
        "values": {name: None if name in hidden else value for name, value in scores["values"].items()},
        "ci95": {name: half for name, half in scores["ci95"].items() if name not in hidden},
        "missing": {**scores["missing"], **hidden},
        "caveats": [text for text in scores["caveats"] if text not in caveats],
        "outcomes": {},
    }
