"""perf/planted_copies.py: planted copies are what they are called, and the table has a row for each kind."""

from __future__ import annotations

from pathlib import Path

import fakes
import pytest
import torch

from dpbench import DataOptions
from dpbench.core.data import ImageDataset
from perf import planted_copies
from perf.planted_copies import KINDS, scores, table


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> ImageDataset:
    for name, size in {"SAMPLES": 40, "TRAIN": 100, "REFERENCE": 50}.items():
        monkeypatch.setattr(planted_copies, name, size)
    return fakes.Tiny("", DataOptions(Path())).open_train()


def test_copies_are_seen_and_the_table_has_every_kind(whole, tmp_path: Path) -> None:
    kinds = {name: KINDS[name] for name in ("honest", "100% copies", "20% of the reference, one bit changed")}
    found = {name: [scored] for name, scored in scores(whole, kinds, 0, tmp_path)}
    copied = {name: scored[0].values["copied"] for name, scored in found.items()}
    assert copied["100% copies"] > 0.9
    assert copied["20% of the reference, one bit changed"] < copied["honest"]
    lines = table(found)
    assert len(lines) == 2 + len(kinds)
    assert lines[3].startswith("| 100% copies | 1 | 1.000 | 100% |")


def test_changes_are_small() -> None:
    x = torch.randint(20, 235, (50, 1, 16, 16), dtype=torch.uint8)
    assert (planted_copies.noisy(x).float() - x.float()).std() == pytest.approx(4, rel=0.1)
    assert (planted_copies.shifted(x)[..., 1:, 1:] == x[..., :-1, :-1]).all()
    assert (planted_copies.one_bit(x) != x).sum() == 50
