"""What an evaluation found, and putting two of them together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Scores:
    """What an evaluation found.

    Attributes:
        values: column -> finite number, or None where it could not be computed.
        missing: column -> why it is None.
        protocol: what the numbers depend on besides the images: sample counts, all extractors, and under each metric's
            name its own extractors and what it declares. Rows whose metric differs in it must not be ranked by it.
        caveats: what a reader has to know of the images or, after a metric's name, of its values.
        seconds: metric -> time it took; features count for the metric that needed them first.
        ci95: column -> half the width of its 95% bootstrap interval over images, where there is one.
    """

    values: Mapping[str, float | None] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    protocol: Mapping[str, Any] = field(default_factory=dict)
    caveats: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    ci95: Mapping[str, float] = field(default_factory=dict)

    def __or__(self, other: Scores) -> Scores:
        """Both together; of a metric that both have, and of a column or a protocol entry, `other`'s counts."""
        still = tuple(text for text in self.caveats if text.partition(":")[0] not in other.seconds)
        return Scores(
            {**self.values, **other.values},
            {**{c: why for c, why in self.missing.items() if c not in other.values}, **other.missing},
            {**self.protocol, **other.protocol},
            tuple(dict.fromkeys(still + other.caveats)),
            {**self.seconds, **other.seconds},
            {**{c: half for c, half in self.ci95.items() if c not in other.values}, **other.ci95},
        )
