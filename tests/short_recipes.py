"""Classifiers that train for a few steps, in place of the quick recipes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dpbench.metrics.classifiers import quick


def shorten(monkeypatch: pytest.MonkeyPatch, steps: int, batch: int = 32, runs: int = 1) -> None:
    """Until the test ends, the quick classifiers and the one of real images train for `steps` steps."""
    short = replace(quick.RECIPE, steps=lambda n: steps, batch=batch, runs=runs)
    monkeypatch.setattr(quick, "RECIPE", short)
    monkeypatch.setattr(quick, "REAL_RECIPE", replace(short, runs=1))
