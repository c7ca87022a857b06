"""Fixtures of launchers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]


@pytest.fixture
def out(registries: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for results; workers find the modules of the tests, and have caches and records of this test."""
    paths = [str(TESTS.parent), str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in ("CACHE", "DATA", "STATE"):
        monkeypatch.setenv(f"DPBENCH_{name}", str(tmp_path / name.lower()))
    return tmp_path / "out"
