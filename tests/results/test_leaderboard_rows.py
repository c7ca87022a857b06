"""Rows collected from trial folders, aggregation over seeds, and ranks."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rows import FWD, frame, scores, trial

from dpbench.core.errors import DpbenchError
from dpbench.core.files import read_json, write_json
from dpbench.results.leaderboard_rows import collect, make_frame, write_csv
from dpbench.results.over_seeds import aggregate
from dpbench.results.record import TrialRecord
from dpbench.results.row import FIELDS, IDENTITY, PLACES, make_row
from dpbench.results.stored_scores import StoredScores

REFERENCE = [
    path
    for path in sorted(Path(__file__).parents[2].glob("results/reference/*.csv"))
    if "method_version" in pd.read_csv(path, nrows=0).columns
]
"""The files of leaderboard rows; tables of single experiments have columns of their own."""


def store(folder: Path, trial_: TrialRecord, scores_: dict[str, Any]) -> None:
    write_json(folder / "trial.json", trial_.as_json())
    write_json(folder / "scores.json", scores_)


def test_row_has_every_column_once_in_order() -> None:
    names = [f.name for f in FIELDS]
    assert len(set(names)) == len(names)
    assert list(frame((trial(), scores())).columns) == [
        *(f.name for f in IDENTITY),
        "accuracy",
        "accuracy_ci95",
        "fwd",
        "fwd_ci95",
        *(name for name in names if name not in {f.name for f in IDENTITY}),
        *PLACES,
    ]


def test_required_columns_exist() -> None:
    named = """method method_version track dataset resolution n_train epsilon delta epsilon_spent epsilon_rdp
        mu epsilon_at_1e-5 neighbouring accountant accounting noise tuning preset seed config public_source
        parameters_private parameters_total n_samples n_reference extractor device dpbench_version git_commit date"""
    assert set(named.split()) <= {f.name for f in FIELDS}
    assert all(f.help for f in FIELDS)


def test_csv_keeps_full_precision(tmp_path: Path) -> None:
    write_csv(frame((trial(epsilon=math.inf, delta=1 / 3), scores(accuracy=0.1 + 0.2))), tmp_path / "a.csv")
    row = pd.read_csv(tmp_path / "a.csv").iloc[0]
    assert (row["accuracy"], row["delta"], row["epsilon"]) == (0.1 + 0.2, 1 / 3, math.inf)


def test_texts_are_neither_formulas_nor_control_characters(tmp_path: Path) -> None:
    row = make_row(
        trial(method="=cmd|' /C calc'!A0", variant="a=-1", tuning="@sum", device="\x1b[2J"),
        StoredScores(**scores(fwd=-1.0)),
    )
    path = tmp_path / "a.csv"
    write_csv(make_frame([row], [FWD]), path)
    written = pd.read_csv(path).iloc[0]
    assert written["method"] == "'=cmd|' /C calc'!A0"
    assert (written["variant"], written["tuning"], written["device"]) == ("a=-1", "'@sum", "\\x1b[2J")
    assert written["fwd"] == -1


def test_integer_columns_with_missing_values_stay_integers(tmp_path: Path) -> None:
    write_csv(frame((trial(), scores()), (trial(seed=None), scores())), tmp_path / "a.csv")
    assert pd.read_csv(tmp_path / "a.csv", dtype=str)["seed"].fillna("").tolist() == ["0", ""]


def test_notes_have_the_reasons_for_missing_scores() -> None:
    row = frame((trial(unverified=("peeked",)), scores(accuracy=None))).iloc[0]
    assert math.isnan(row["accuracy"])
    assert row["notes"] == ("accounting unverified: peeked", "accuracy: no classes")


def test_notes_are_separate_texts_until_the_csv(tmp_path: Path) -> None:
    rows = frame((trial(unverified=("peeked; twice",)), scores(accuracy=None)), (trial(seed=1), scores()))
    (line,) = aggregate(rows.assign(accounting="verified"))["notes"]
    assert line[:2] == ("accounting unverified: peeked; twice", "accuracy: no classes")
    write_csv(rows, tmp_path / "a.csv")
    texts = pd.read_csv(tmp_path / "a.csv")["notes"].fillna("").tolist()
    assert texts == ["accounting unverified: peeked; twice; accuracy: no classes", ""]


@pytest.mark.parametrize(
    "name", ["epsilon", "epsilon_spent", "accounting", "key", "accuracy_ci95", "seeds", "rank", "=cmd"]
)
@pytest.mark.parametrize("part", ["values", "ci95"])
def test_scores_do_not_overwrite_row_fields(name: str, part: str) -> None:
    edited = scores()
    edited[part] = {**edited[part], name: 0.01}
    with pytest.raises(DpbenchError, match=name):
        make_row(trial(), StoredScores(**edited))


def test_scores_of_unknown_metrics_are_kept() -> None:
    rows = make_frame([make_row(trial(), StoredScores(**scores()))], [FWD])
    assert rows["accuracy"].tolist() == [0.5]


def test_damaged_trials_are_skipped_with_a_warning(tmp_path: Path) -> None:
    store(tmp_path / "d/m/good", trial(), scores())
    store(tmp_path / "d/m/bad1", trial(), scores())
    (tmp_path / "d/m/bad1/trial.json").write_text("{")
    store(tmp_path / "d/m/bad2", trial(epsilon="many"), scores())
    store(tmp_path / "d/m/bad3", trial(), {"values": {}})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert len(collect(tmp_path)) == 1
    for name, warning in zip(["bad1", "bad2", "bad3"], caught, strict=True):
        assert name in str(warning.message)


def test_a_row_of_a_later_version_is_left_out_without_advice_to_train_again(tmp_path: Path) -> None:
    store(tmp_path / "d/m/k", trial(key="k"), scores(0.5))
    path = tmp_path / "d/m/k/trial.json"
    write_json(path, read_json(path) | {"later": 1})
    with pytest.warns(match="a field 'later' that this version of dpbench does not know: use the version") as caught:
        assert collect(tmp_path).empty
    assert "another private run" not in str(caught[0].message)


def test_a_copied_folder_counts_once(tmp_path: Path) -> None:
    for name, accuracy in (("k copy", 0.1), ("k", 0.5), ("a backup", 0.2)):
        store(tmp_path / "d/m" / name, trial(key="k"), scores(accuracy))
    store(tmp_path / "d/m/l", trial(key="l", seed=1), scores(0.7))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rows = collect(tmp_path)
    assert rows["accuracy"].tolist() == [0.5, 0.7]
    texts = [str(warning.message) for warning in caught]
    home = tmp_path / "d/m/k"
    assert texts == [f"left out {tmp_path / 'd/m' / name}: it is a copy of {home}, and a trial counts once"
                     for name in ("a backup", "k copy")]  # fmt: skip


@pytest.mark.parametrize("path", REFERENCE, ids=lambda path: path.name)
def test_reference_rows_have_the_current_columns(path: Path) -> None:
    fields = [f.name for f in FIELDS]
    assert [name for name in pd.read_csv(path).columns if name in fields] == fields


def test_rows_of_several_folders_are_merged(tmp_path: Path) -> None:
    for out, key, accuracy in (("a", "k", 0.5), ("a", "l", 0.6), ("b", "l", 0.9), ("b", "n", 0.7)):
        store(tmp_path / out / "d/m" / key, trial(key=key, seed=ord(key)), scores(accuracy))
    with pytest.warns(UserWarning, match="left out 1 trial of .*b that an earlier folder also has"):
        rows = collect([tmp_path / "a", tmp_path / "b"])
    assert rows["accuracy"].tolist() == [0.5, 0.6, 0.7]
    assert [Path(folder).parts[-4] for folder in rows["folder"]] == ["a", "a", "b"]
    assert len(collect([tmp_path / "a", tmp_path / "a"])) == 2


def test_places_are_not_written(tmp_path: Path) -> None:
    store(tmp_path / "out/d/m/k", trial(key="k"), scores())
    write_csv(collect(tmp_path / "out"), tmp_path / "a.csv")
    assert not {*PLACES} & {*pd.read_csv(tmp_path / "a.csv").columns}
