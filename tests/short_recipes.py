"""Classifiers that train for a few steps, in place of the quick recipes; the judge of scenes, too."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dpbench.metrics.classifiers import quick, scene_judge


def shorten(monkeypatch: pytest.MonkeyPatch, steps: int, batch: int = 32, runs: int = 1) -> None:
    """Until the test ends, quick classifiers, the one of real images and the judge train for `steps` steps."""
    short = replace(quick.RECIPE, steps=lambda n: steps, batch=batch, runs=runs)
    monkeypatch.setattr(quick, "RECIPE", short)
    monkeypatch.setattr(quick, "REAL_RECIPE", replace(short, runs=1))
    monkeypatch.setattr(scene_judge, "STEPS", steps)
    monkeypatch.setattr(scene_judge, "BATCH", batch)
