"""Look-up commands do not import torch, which takes seconds."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dpbench import DATASETS, EXTRACTORS, GENERATORS, METHODS, METRICS, REFINERS, TEXT_ENCODERS


def check(*commands: list[str]) -> None:
    """Runs commands in one new process and asserts that torch is not imported."""
    code = f"""
import sys
from dpbench.cli import app
for command in {commands!r}:
    app(command, standalone_mode=False)
    assert "torch" not in sys.modules, f"dpbench {{' '.join(command)}} imports torch"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_listing_plugins() -> None:
    check(
        *(["list", kind] for kind in ("methods", "datasets", "public", "metrics", "refiners", "extractors")), ["list"]
    )


def test_showing_metrics() -> None:
    check(*(["show", name] for name in METRICS.names()))


def test_opening_datasets_by_name() -> None:
    opened = {name: {"folder": "folder:.", "holdout": "holdout:shapes"}.get(name, name) for name in DATASETS.names()}
    code = f"""
import sys
from pathlib import Path
from dpbench.core.data import DataOptions
from dpbench.data.opening import open_dataset
for name in {[*opened.values()]!r}:
    dataset = open_dataset(name, DataOptions(Path("nowhere")))
    if name.partition(":")[0] not in ("folder", "omniglot", "imagenet", "places365"):  # their specs are read from files
        dataset.spec
    assert "torch" not in sys.modules, name
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(
    "registry",
    [METHODS, REFINERS, DATASETS, EXTRACTORS, TEXT_ENCODERS, GENERATORS],
    ids=lambda registry: registry.group,
)
def test_showing_other_plugins(registry) -> None:
    check(*(["show", name] for name in registry.names()))


def test_showing_a_plan() -> None:
    check(["show", "dp-merf", "--eps", "1"])
