"""The index of rows read before: it gives the same rows as the files, and never old ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fakes
import pandas as pd
import pytest
from rows import scores, trial

from dpbench.core.files import write_json
from dpbench.core.metric import Column
from dpbench.core.registries import METRICS
from dpbench.results import leaderboard_rows, row_index
from dpbench.results.leaderboard_rows import collect
from dpbench.results.row_index import RowIndex
from dpbench.results.trial_folder import TrialFolder


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the trials that are read, in a cache of this test's own."""
    monkeypatch.setenv("DPBENCH_CACHE", str(tmp_path / "cache"))
    names: list[str] = []
    once = leaderboard_rows._read

    def counted(folder: TrialFolder) -> dict[str, Any]:
        names.append(folder.path.name)
        return once(folder)

    monkeypatch.setattr(leaderboard_rows, "_read", counted)
    return names


def store(out: Path, key: str, scored: dict[str, Any] | None = None, **changes: Any) -> None:
    write_json(out / "d/m" / key / "trial.json", trial(key=key, **changes).as_json())
    write_json(out / "d/m" / key / "scores.json", scored or scores())


def test_rows_from_the_index_equal_those_from_the_files(tmp_path: Path, read: list[str]) -> None:
    out = tmp_path / "out"
    store(out, "a", epsilon="inf", config={"x": [1, "é"]}, delta=1 / 3)
    store(out, "b", scores(accuracy=None, fwd=0.1 + 0.2), seed=None, queries=2**62, unverified=("peeked; twice", "so"))
    first = collect(out)
    again = collect(out)
    assert read == ["a", "b"]
    pd.testing.assert_frame_equal(first, again)
    assert again["notes"].tolist() == first["notes"].tolist()
    assert sorted(again["folder"]) == [str(out / "d/m/a"), str(out / "d/m/b")]


def test_only_what_changed_is_read_again(tmp_path: Path, read: list[str]) -> None:
    out = tmp_path / "out"
    for key in "abc":
        store(out, key)
    collect(out)
    read.clear()
    store(out, "b", scores(accuracy=0.9))
    (out / "d/m/c/trial.json").unlink()
    store(out, "d")
    rows = collect(out)
    assert read == ["b", "d"]
    assert dict(zip(rows["key"], rows["accuracy"], strict=True)) == {"a": 0.5, "b": 0.9, "d": 0.5}


def test_new_metrics_have_empty_columns(tmp_path: Path, read: list[str], registries: None) -> None:
    store(tmp_path / "out", "a")
    collect(tmp_path / "out")
    METRICS.register("new")(type("New", (fakes.Brightness,), {"columns": (Column("new", "low", ""),)}))
    rows = collect(tmp_path / "out")
    assert rows["fwd"].tolist() == [2.0]
    assert rows["new"].isna().all()
    assert read == ["a"]


@pytest.mark.parametrize("damage", [b"", b"no archive", None])
def test_a_damaged_index_is_made_again(tmp_path: Path, read: list[str], damage: bytes | None) -> None:
    out = tmp_path / "out"
    store(out, "a")
    collect(out)
    path = RowIndex.of(out).path
    path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    assert collect(out)["key"].tolist() == ["a"]
    collect(out)
    assert read == ["a", "a"]


def test_other_code_reads_again(tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    store(tmp_path / "out", "a")
    collect(tmp_path / "out")
    monkeypatch.setattr(row_index, "code_hash", lambda *_: "edited")
    collect(tmp_path / "out")
    assert read == ["a", "a"]


def test_an_index_that_cannot_be_written_costs_time_alone(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("DPBENCH_CACHE", str(tmp_path / "file"))
    store(tmp_path / "out", "a")
    assert [len(collect(tmp_path / "out")) for _ in range(2)] == [1, 1]
    assert read == ["a", "a"]
