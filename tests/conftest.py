"""Fixtures that several parts share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import events
import fakes
import pytest

from dpbench import DATASETS, EXTRACTORS, METHODS, METRICS, REFINERS
from dpbench.models import weights


@pytest.fixture(autouse=True)
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides pretrained weights that the machine may have."""
    monkeypatch.setattr(weights, "places", lambda file: [])


@pytest.fixture
def registries() -> Iterator[None]:
    """Takes back what a test registers."""
    everything = (METHODS, DATASETS, METRICS, REFINERS, EXTRACTORS)
    before = [dict(registry._registered) for registry in everything]
    yield
    for registry, registered in zip(everything, before, strict=True):
        registry._registered = registered


@pytest.fixture
def tiny(registries: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Registers the fakes, keeps caches out of the user's home, and gives a folder for results that does not exist."""
    DATASETS.register("tiny")(fakes.Tiny)
    DATASETS.register("tiny-public")(fakes.TinyPublic)
    METHODS.register("fake")(fakes.FakeMean)
    METHODS.register("alone")(fakes.FakeAlone)
    METRICS.register("brightness")(fakes.Brightness)
    METRICS.register("classy")(fakes.Classy)
    METRICS.register("rare")(fakes.Rare)
    monkeypatch.setenv("DPBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DPBENCH_DATA", str(tmp_path / "data"))
    events.EVENTS.clear()
    return tmp_path / "out"
