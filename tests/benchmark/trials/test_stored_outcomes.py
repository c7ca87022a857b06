"""What each test image was in each run of a classifier: stored, and shown of public benchmarks alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console
from short_recipes import shorten

import dpbench
from dpbench.cli.pages.leaderboard_page import leaderboard_page
from dpbench.results.leaderboard_rows import collect
from dpbench.results.trial_folder import TrialFolder


@pytest.mark.parametrize("dataset", ["tiny", "tiny:secret"])
def test_outcomes_are_stored_where_they_may_be_and_rank_the_rows(tiny: Path, monkeypatch, dataset: str) -> None:
    shorten(monkeypatch, 3, batch=8, runs=2)
    options = {"public": "tiny-public", "samples": 30, "delta": 1e-6, "references": (), "device": "cpu"}
    row = dpbench.run("fake", dataset, [1.0], out=tiny, metrics=["accuracy"], resolution=32, **options).iloc[0]
    (folder,) = TrialFolder.finished(tiny)
    shown = folder.read_scores().outcomes
    assert bool(shown) == (dataset == "tiny")
    packed = folder.read_scores(all_columns=True).outcomes["accuracy"]
    assert packed.shape == (3, 2, row["n_reference"])
    assert packed.unpacked().mean() == pytest.approx(row["accuracy"])
    console = Console(width=160, record=True)
    console.print(leaderboard_page(collect(tiny)))
    assert "ranked by accuracy" in console.export_text()
