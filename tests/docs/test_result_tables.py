"""docs/result_tables.py: README and docs show the numbers of results/reference."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from docs_scripts import docs_script

from dpbench.core.registries import METHODS


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return docs_script("result_tables")


def test_the_pages_show_the_stored_rows(script: ModuleType) -> None:
    for path, page in script.pages().items():
        assert path.read_text(encoding="utf-8") == page, "run python docs/result_tables.py"


def test_every_method_has_a_line_in_the_readme(script: ModuleType) -> None:
    part = script.IN_README.of(script.README.read_text(encoding="utf-8"))
    assert sorted(line.split("|")[1].strip(" `") for line in part.splitlines()[2:]) == METHODS.names()


def rows(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *lines: dict[str, object]
) -> pd.DataFrame:
    scores = {name: 0.5 for column in script.SHOWN for name in (column, f"{column}_ci95")}
    made = [
        {"variant": "", "epsilon": 10.0, "method_version": METHODS.get("dpdm").version, **scores, **line}
        for line in lines
    ]
    pd.DataFrame(made).to_csv(tmp_path / "mnist.csv", index=False)
    monkeypatch.setattr(script, "ROWS", tmp_path)
    return script.measured("mnist")


def with_scores(script: ModuleType, line: str, found: pd.DataFrame) -> str:
    return script.with_scores(line, {"mnist": found, "shapes": found[:0]})


def test_seeds_are_averaged_and_their_spread_is_the_interval(script, tmp_path: Path, monkeypatch) -> None:
    seeds = [{"method": "dpdm", "accuracy": value} for value in (0.70, 0.80)]
    found = rows(script, tmp_path, monkeypatch, *seeds)
    (line,) = script.experiments_table(found).splitlines()[2:]
    assert line.startswith("| dpdm | 10 | 0.750 ± 0.635 | 0.500 |")  # 12.706 · 0.0707 / √2
    line = with_scores(script, "| `dpdm` | an idea |  | 0.1 |  |  | 0.2 |", found)
    assert line == "| `dpdm` | an idea |  | 0.750 | 0.500 |  |  |"


def test_columns_and_cells_without_scores_are_empty(script, tmp_path: Path, monkeypatch) -> None:
    lines = [{"method": name, "copied": None, "accuracy": score} for name, score in (("dpdm", 0.7), ("dp-sgd", None))]
    for line in lines:
        line["method_version"] = METHODS.get(line["method"]).version
    heading, _, *shown = script.experiments_table(rows(script, tmp_path, monkeypatch, *lines)).splitlines()
    assert "copied" not in heading
    assert "| dp-sgd | 10 |  | 0.500 |" in "\n".join(shown)


def test_one_seed_keeps_the_interval_over_images(script, tmp_path: Path, monkeypatch) -> None:
    found = rows(script, tmp_path, monkeypatch, {"method": "dpdm", "accuracy": 0.7, "accuracy_ci95": 0.01})
    assert "| 0.700 ± 0.010 |" in script.experiments_table(found)


def test_rows_of_an_older_version_of_a_method_are_left_out(script, tmp_path: Path, monkeypatch) -> None:
    lines = [{"method": "dpdm"}, {"method": "dpdm", "method_version": "0", "accuracy": 0.9}]
    assert rows(script, tmp_path, monkeypatch, *lines)["accuracy"].tolist() == [0.5]


def test_variants_are_not_in_the_readme(script, tmp_path: Path, monkeypatch) -> None:
    found = rows(script, tmp_path, monkeypatch, {"method": "dpdm", "variant": "views=1"})
    assert (
        with_scores(script, "| `dpdm` | an idea | 1 | 2 | 3 | 4 | 5 |", found) == "| `dpdm` | an idea |  |  |  |  |  |"
    )
    assert "| dpdm [views=1] | 10 |" in script.experiments_table(found)
