"""The comparison with a published number, without training: selection, differences, verdicts, files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
from rows import trial
from typer.testing import CliRunner

from dpbench.core.files import write_json
from experiments import reproduce
from experiments._publications import PUBLICATIONS, compared, verdict


def write_trial(out: Path, epsilon: float, accuracy: float, **changes: Any) -> None:
    about = {"method": "dp-merf", "dataset": "mnist", "public_source": "", "preset": "paper", "variant": ""}
    key = f"{epsilon:g}-{len(changes)}"
    record = trial(**about | {"epsilon": epsilon, "seconds_fit": 60.0, "key": key} | changes)
    scores = {"values": {"accuracy": accuracy}, "missing": {}, "caveats": [], "seconds": {}, "ci95": {}, "scored": {}}
    folder = out / "mnist/dp-merf" / key
    write_json(folder / "trial.json", record.as_json())
    write_json(folder / "scores.json", scores | {"protocol": {"n_samples": 100, "n_reference": 50}})


def test_report_compares_each_budget_with_its_publication(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = {"method": "dp-merf", "metric": "accuracy", "samples": 100, "data": tmp_path, "out": tmp_path / "out",
                 "report": tmp_path / "report", "table_only": True}  # fmt: skip
    with pytest.raises(typer.Exit):
        reproduce.main(**arguments)
    assert "no finished trials of this experiment" in capsys.readouterr().err
    write_trial(tmp_path / "out", 1.0, 0.78)
    write_trial(tmp_path / "out", 10.0, 0.85)
    write_trial(tmp_path / "out", 10.0, 0.1, noise="reproducible")
    reproduce.main(**arguments)
    written = pd.read_csv(tmp_path / "report/reproduce.csv")
    assert written["published"].tolist() == [0.803, 0.813]
    assert written["ours"].tolist() == [0.78, 0.85]
    assert written["difference"].tolist() == pytest.approx([-0.023, 0.037])
    assert written["seconds_ours"].tolist() == [60.0, 60.0]
    assert written["n_samples"].tolist() == [100, 100]
    said = capsys.readouterr().out
    assert "reproduced within 3 points" in said
    assert "3.7 points above" in said
    assert "arXiv 2503.14681" in said


def test_what_is_missing_is_not_compared() -> None:
    rows = pd.DataFrame(
        {"epsilon": [1.0, 1.0], "accuracy": [0.8, 0.9], "seconds_fit": [1.0, 3.0], "device": ["cpu"] * 2}
    )
    once, missing, unpublished = compared(rows, PUBLICATIONS["dp-merf"], (1.0, 10.0, 2.0), "accuracy")
    assert (once["ours"], once["seeds"], once["seconds_ours"]) == (pytest.approx(0.85), 2, 2.0)
    assert math.isnan(missing["difference"])
    assert math.isnan(unpublished["published"])
    assert verdict(math.nan).plain == "nothing to compare"


@pytest.mark.parametrize(
    ("difference", "words"),
    [(0.03, "reproduced within 3 points"), (-0.03, "reproduced within 3 points"), (-0.041, "4.1 points below")],
)
def test_verdict(difference: float, words: str) -> None:
    assert verdict(difference).plain == words


def test_a_method_without_a_published_number_is_a_one_line_error() -> None:
    app = typer.Typer()
    app.command()(reproduce.main)
    result = CliRunner().invoke(app, ["wavelet"])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: unknown method of this experiment 'wavelet'")
