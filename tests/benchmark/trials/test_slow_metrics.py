"""Metrics that take hours are announced; those that take days end the run before it starts."""

from __future__ import annotations

from pathlib import Path

import fakes
import pandas as pd
import pytest

import dpbench
from dpbench.core.errors import DpbenchError
from dpbench.core.progress import Quiet


def run(out: Path, metrics: list[str], display: Quiet | None = None) -> pd.DataFrame:
    fixed = {"public": "tiny-public", "samples": 30, "delta": 1e-6, "references": (), "device": "cpu"}
    return dpbench.run("fake", "tiny", [1.0], out=out, metrics=metrics, display=display, **fixed)


class Said(Quiet):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def takes(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(fakes.Brightness, "expected_seconds", lambda *about: seconds)


def test_days_are_refused_before_anything_runs(tiny: Path, monkeypatch) -> None:
    takes(monkeypatch, 39.2 * 86_400)
    with pytest.raises(DpbenchError, match="'brightness' would take about 39 days per row on cpu; use a GPU"):
        run(tiny, ["classy", "brightness"])
    assert not list(tiny.rglob("*.json"))


def test_hours_are_said_as_long_as_there_is_something_to_compute(tiny: Path, monkeypatch) -> None:
    takes(monkeypatch, 9000)
    text = "metric 'brightness' takes about 2.5 h per row on cpu"
    for expected in (True, False):
        said = Said()
        run(tiny, ["classy", "brightness"], said)
        assert (text in said.lines) == expected


def test_a_score_that_would_take_days_is_left_out_of_a_finished_trial(tiny: Path, monkeypatch) -> None:
    takes(monkeypatch, 0.0)
    run(tiny, ["classy"])
    takes(monkeypatch, 5 * 86_400)
    row = dpbench.evaluate_all(tiny, ["brightness"], device="cpu").iloc[0]
    assert "brightness: it would take about 5 days on cpu; compute it on a GPU" in row["notes"]
