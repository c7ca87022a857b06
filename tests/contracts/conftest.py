"""Random weights, and short training of classifiers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import made_weights
import pytest
from image_fixtures import publish
from short_recipes import shorten

from dpbench.metrics import gram
from dpbench.metrics.classifiers import dpimagebench, quick

__all__ = ["publish"]

MAKE = {
    "vgg": made_weights.make_vgg,
    "lpips": made_weights.make_alexnet,
    "clip": made_weights.make_clip,
    "dinov2": made_weights.make_dinov2,
    "inception": made_weights.make_inception,
}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """made(name) -> the folder of random weights; they are made once."""
    return cache(lambda name: MAKE[name](tmp_path_factory.mktemp(name)))


@pytest.fixture
def quick_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Classifiers train for a few steps, the smallest one in place of the large published ones; VGG sees 32 pixels."""
    monkeypatch.setattr(gram, "SMALLEST", 32)
    shorten(monkeypatch, 20, batch=16)
    monkeypatch.setattr(dpimagebench, "RECIPE", quick.RECIPE)
    monkeypatch.setattr(dpimagebench, "NETWORKS", dict.fromkeys(dpimagebench.NETWORKS, quick.NETWORKS["cnn"]))
