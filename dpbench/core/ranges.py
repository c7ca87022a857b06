"""Ranges of numeric settings."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """Finite numbers between two bounds.

    Attributes:
        low: inclusive lower bound.
        above: exclusive lower bound.
        high: inclusive upper bound.
        below: exclusive upper bound.
    """

    low: float = -math.inf
    above: float = -math.inf
    high: float = math.inf
    below: float = math.inf

    def __contains__(self, number: float) -> bool:
        return math.isfinite(number) and self.low <= number <= self.high and self.above < number < self.below

    @property
    def is_bounded(self) -> bool:
        """Whether it has any bound."""
        return self != Range()

    def __str__(self) -> str:
        start = f"[{self.low:g}" if self.low > self.above else f"({self.above:g}"
        end = f"{self.high:g}]" if self.high < self.below else f"{self.below:g})"
        return f"{start}, {end}".replace("inf", "∞")
