"""leaderboard.csv is up to date while a run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fakes
import pandas as pd
import pytest

import dpbench
from dpbench import METHODS
from dpbench.core.files import read_json, write_json
from dpbench.results import leaderboard_file, leaderboard_rows
from dpbench.results.leaderboard_file import LeaderboardFile
from dpbench.results.trial_folder import TrialFolder

REQUEST: dict[str, Any] = {
    "dataset": "tiny", "public": "tiny-public", "samples": 10, "delta": 1e-6, "metrics": ["brightness"],
    "references": (), "device": "cpu",
}  # fmt: skip


def test_file_has_a_line_as_soon_as_a_trial_is_finished(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaderboard_file, "QUICK", 1e9)  # on a busy machine as well
    lines = []

    @METHODS.register("counting")
    class Counting(fakes.FakeMean):
        def fit(self, private: Any, run: Any) -> None:
            path = tiny / "leaderboard.csv"
            lines.append(len(pd.read_csv(path)) if path.exists() else 0)
            super().fit(private, run)

    dpbench.run("counting", epsilons=[1, 2, 3], out=tiny, **REQUEST)
    assert lines == [0, 1, 2]
    assert len(pd.read_csv(tiny / "leaderboard.csv")) == 3


def test_file_takes_a_small_share_of_the_time(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, written = {"now": 0.0}, []

    def collect(*_: object) -> pd.DataFrame:
        clock["now"] += 1.0
        written.append(clock["now"])
        return pd.DataFrame({"a": [1], "notes": [()]})

    monkeypatch.setattr(leaderboard_file, "collect", collect)
    monkeypatch.setattr(leaderboard_file.time, "monotonic", lambda: clock["now"])
    board = LeaderboardFile(tiny)
    for _ in range(100):  # trials of a second each
        clock["now"] += 1.0
        board.update()
    assert 4 <= len(written) <= 6
    board.write()
    assert written[-1] == clock["now"]


def test_only_changed_trials_are_read_again(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dpbench.run("fake", epsilons=[1, 2], out=tiny, **REQUEST)
    read, once = [], TrialFolder.read

    def counted(self: TrialFolder, key: str | None = None) -> Any:
        read.append(self)
        return once(self, key)

    monkeypatch.setattr(TrialFolder, "read", counted)
    before = leaderboard_rows.collect(tiny)
    assert read == []
    path = next(tiny.rglob("scores.json"))
    write_json(path, read_json(path) | {"values": {"brightness": -1}})
    after = leaderboard_rows.collect(tiny)
    assert [folder.path for folder in read] == [path.parent]
    assert (before["brightness"] != after["brightness"]).sum() == 1
