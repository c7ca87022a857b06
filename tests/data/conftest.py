"""Fixtures for the tests of the dataset loaders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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
