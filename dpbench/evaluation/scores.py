"""The scores of an evaluation, and how to merge two of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dpbench.core.outcomes import Packed


@dataclass(frozen=True)
class Scores:
    """The scores of an evaluation.

    Attributes:
        values: column -> finite number, or None if it could not be computed.
        missing: column -> reason for None.
        protocol: the settings that the numbers depend on: sample counts, and for each metric (by name) its
            `score_protocol`. Rows must not be ranked by a metric if its protocol differs.
        caveats: warnings about the images or, prefixed with a metric's name, about its values.
        seconds: metric -> computing time; shared features count for the first metric that needs them.
        ci95: column -> half the width of its 95% interval, if it has one.
        outcomes: column -> the outcome of each reference image in each run, for columns that are means of outcomes.
        scored: metric -> the time and the dpbench that computed it; see `results.provenance.scored_now`.
    """

    values: Mapping[str, float | None] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    protocol: Mapping[str, Any] = field(default_factory=dict)
    caveats: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    ci95: Mapping[str, float] = field(default_factory=dict)
    outcomes: Mapping[str, Packed] = field(default_factory=dict)
    scored: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __or__(self, other: Scores) -> Scores:
        """The two merged; `other` wins for metrics, columns and protocol entries that both have."""
        still = tuple(text for text in self.caveats if text.partition(":")[0] not in other.seconds)
        return Scores(
            {**self.values, **other.values},
            {**{c: why for c, why in self.missing.items() if c not in other.values}, **other.missing},
            {**self.protocol, **other.protocol},
            tuple(dict.fromkeys(still + other.caveats)),
            {**self.seconds, **other.seconds},
            {**{c: half for c, half in self.ci95.items() if c not in other.values}, **other.ci95},
            {**{c: bits for c, bits in self.outcomes.items() if c not in other.values}, **other.outcomes},
            {**self.scored, **other.scored},
        )
