"""Fixtures: a fake network with two files on the Hugging Face hub."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from pretrained_files import ONE, TWO

from dpbench.models.pretrained.published import WEIGHTS, File, Repository, Weights


@pytest.fixture
def folder(empty_caches: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty folder `DPBENCH_WEIGHTS`, with empty caches and fake published weights "network"."""
    repository = Repository("someone/network", "abc123")
    files = tuple(
        File(
            f"network/{name}", f"https://nowhere/{name}", hashlib.sha256(content).hexdigest(), len(content), repository
        )
        for name, content in (("model.bin", ONE), ("config.json", TWO))
    )
    monkeypatch.setitem(WEIGHTS, "network", Weights(files, "nothing", "nobody"))
    return tmp_path / "DPBENCH_WEIGHTS"
