"""Accuracy against private compute, without training: points, curve, figure and files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
from rows import trial
from typer.testing import CliRunner

from dpbench.core.errors import ConfigError, DpbenchError
from dpbench.core.files import write_json
from dpbench.core.specs import DatasetSpec
from experiments import compute_curve
from experiments._curve import curve, draw_curve, make_points

SPEC = DatasetSpec("mnist", 1, 32, 60_000, 10_000, tuple("0123456789"), True)


def rows(*found: tuple[str, float, float]) -> pd.DataFrame:
    columns = ["candidate", "epsilon", "accuracy"]
    return pd.DataFrame(found, columns=columns).assign(seconds_fit=60.0)


def test_points_have_multiples_of_the_steps_and_of_the_gradients() -> None:
    points = make_points("dpdm[batch=100,views=3,steps=40]", "mnist", SPEC, "small", [1 / 8, 1, 2])
    assert [p.candidate.settings for p in points] == [{"steps": 5}, {"steps": 40}, {"steps": 80}]
    assert [p.gradients for p in points] == [100 * 3 * steps for steps in (5, 40, 80)]
    assert points[0].candidate.variant == "dpdm[batch=100,views=3,steps=5]"


def test_a_method_without_private_gradients_is_refused() -> None:
    with pytest.raises(ConfigError, match="dp-merf computes no private gradients"):
        make_points("dp-merf", "mnist", SPEC, "small", [1])


def test_curve_has_means_over_seeds_and_gaps() -> None:
    points = make_points("dpdm[batch=100,views=1,steps=40]", "mnist", SPEC, "small", [1, 2])
    once, twice = (p.candidate.name for p in points)
    lines = curve(rows((once, 10, 0.6), (once, 10, 0.8), (twice, 1, 0.5)), points, (1.0, 10.0))
    assert lines["private_gradients"].tolist() == [4000, 8000] * 2
    assert lines["seeds"].tolist() == [0, 1, 2, 0]
    assert lines["accuracy"][2] == pytest.approx(0.7)
    assert math.isnan(lines["accuracy"][3])
    axes = draw_curve(lines, "title").axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["ε = 1", "ε = 10"]
    assert axes.get_xscale() == "log"


@pytest.mark.parametrize("text", ["", "1,zwei", "0", "-1", "1/0"])
def test_wrong_factors_are_an_error(text: str) -> None:
    assert compute_curve.parse_factors("1/8, 0.5,2") == [0.125, 0.5, 2.0]
    with pytest.raises(DpbenchError, match="--factors must be positive numbers"):
        compute_curve.parse_factors(text)


def write_trial(folder: Path, steps: int, accuracy: float) -> None:
    about: dict[str, Any] = {"method": "dpdm", "dataset": "mnist", "variant": f"steps={steps}", "public_source": ""}
    record = trial(**about, preset="small", key=str(steps), epsilon=10.0)
    scores = {"values": {"accuracy": accuracy}, "missing": {}, "caveats": [], "seconds": {}, "ci95": {}, "scored": {}}
    protocol = {"n_samples": 100, "n_reference": 50}
    write_json(folder / f"mnist/dpdm/{steps}/trial.json", record.as_json())
    write_json(folder / f"mnist/dpdm/{steps}/scores.json", scores | {"protocol": protocol})


def test_report_writes_table_and_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = {"method": "dpdm[steps=88]", "factors": "1/8,1/4,2", "samples": 100, "data": tmp_path,
                 "out": tmp_path / "out", "report": tmp_path / "report", "table_only": True}  # fmt: skip
    with pytest.raises(typer.Exit):
        compute_curve.main(**arguments)
    assert "no finished trials of this experiment" in capsys.readouterr().err
    for steps, accuracy in ((11, 0.7), (22, 0.8)):
        write_trial(tmp_path / "out", steps, accuracy)
    compute_curve.main(**arguments)
    written = pd.read_csv(tmp_path / "report/curve-dpdm-mnist.csv")
    assert written["steps"].tolist() == [11, 22, 176]
    assert written["accuracy"].tolist()[:2] == [0.7, 0.8]
    assert math.isnan(written["accuracy"][2])
    assert (tmp_path / "report/curve-dpdm-mnist.png").read_bytes().startswith(b"\x89PNG")
    assert "private_gradients" in capsys.readouterr().out


def test_a_wrong_method_is_a_one_line_error() -> None:
    app = typer.Typer()
    app.command()(compute_curve.main)
    result = CliRunner().invoke(app, ["--method", "dp-merf"])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: dp-merf computes no private gradients")
