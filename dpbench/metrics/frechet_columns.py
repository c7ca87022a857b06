"""The two columns of a Fréchet distance."""

from __future__ import annotations

from dpbench.core.metric import Column
from dpbench.evaluation.stratified import PROTOCOL as PARTS

HALVES = f"limit from halves: {PARTS}"
"""The protocol of a limit."""


def frechet_columns(name: str, help: str) -> tuple[Column, Column]:
    """The distance `name` as published, and `name`_inf, its limit for infinitely many images, which ranks rows."""
    limit = f"{name}_inf"
    return Column(name, "low", help, ranked_by=limit), Column(limit, "low", f"{help}, of infinitely many images")
