"""Fixtures for the tests of the dataset loaders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from dataset_files import paint, paint_pets

from dpbench.core.data import DataOptions


@pytest.fixture
def options(tmp_path: Path) -> DataOptions:
    """Options with an empty data folder."""
    return DataOptions(tmp_path / "data")


@pytest.fixture
def real_options() -> DataOptions:
    """Options with the folder of real data that the environment names."""
    folder = os.environ.get("DPBENCH_TEST_DATA")
    if not folder:
        pytest.skip("DPBENCH_TEST_DATA names no folder of real data")
    return DataOptions(Path(folder))


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Cats and dogs, 30 of each, shades 0 to 59."""
    return paint_pets(tmp_path / "pets")


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Forty images without classes."""
    for shade in range(40):
        paint(tmp_path / "faces" / f"{shade:02}.png", shade)
    return tmp_path / "faces"
