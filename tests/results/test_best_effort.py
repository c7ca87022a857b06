"""A picture that cannot be drawn fails nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

import dpbench
from dpbench.results import sample_grid


def test_trial_is_finished_where_its_pictures_cannot_be_drawn(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ValueError("can't measure length of multiline text")

    monkeypatch.setattr(sample_grid, "font", fails)
    with pytest.warns(UserWarning, match=r"samples\.png is not written: can't measure"):
        rows = dpbench.run(
            "alone", "tiny", [1.0], delta=1e-6, samples=10, metrics=["brightness"], references=(), device="cpu",
            out=tiny,
        )  # fmt: skip
    assert rows["brightness"].notna().all()
