"""The reference rows: one command for all of them, selection, published orders, tables."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
from rich.console import Console
from rich.table import Table
from rows import trial
from typer.testing import CliRunner

from dpbench.cli import app
from dpbench.core.metric import Column
from dpbench.core.registries import METHODS
from dpbench.results.leaderboard_rows import make_frame
from dpbench.results.row import make_row
from dpbench.results.stored_scores import StoredScores
from experiments import _script, reference
from experiments._candidates import Candidate, Entry, Request, Task
from experiments._jobs import Job
from experiments._orders import PUBLISHED, Pair, accuracy, accuracy_table, judged, order_table, orders, views_pair
from experiments._verdict import select

NAMES = ("dpdm", "dp-sgd", "dpdm[views=1]")
TASK = Task("mnist", "mnist", "omniglot", tuple(Candidate(name, name) for name in NAMES))
ENTRIES = [
    Entry(TASK, candidate, "mnist", method, variant)
    for candidate, method, variant in zip(TASK.candidates, ("dpdm", "dp-sgd", "dpdm"), ("", "", "views=1"), strict=True)
]
REQUEST = Request((1.0, 10.0), 2, 100, Path("out"), references=("real", "public", "nonprivate"))
VIEWS = Pair("K > 1 noise draws per record ≥ K = 1", "dpdm", "dpdm[views=1]")
PUBLIC = {"dp-sgd": "omniglot"}


def row(method: str, epsilon: float, accuracy: float, **changes: Any) -> dict[str, Any]:
    fixed = {"method": method, "dataset": "mnist", "epsilon": epsilon, "preset": "small", "variant": "",
             "public_source": PUBLIC.get(method, "")}  # fmt: skip
    scores = {"values": {"accuracy": accuracy}, "missing": {}, "caveats": [], "seconds": {}, "ci95": {}, "scored": {}}
    scored = scores | {"protocol": {"n_samples": 100, "n_reference": 50}}
    return make_row(trial(**fixed | changes), StoredScores(**scored))


def real() -> dict[str, Any]:
    nothing = {"seed": None, "preset": "", "accounting": "", "noise": ""}
    return row("real", math.nan, 0.99, **nothing, reference="real")


@pytest.fixture
def rows() -> pd.DataFrame:
    """dp-sgd is ahead of dpdm at ε = 10 and behind at ε = 1; one draw per record is a point ahead of several."""
    found = [
        *(row("dpdm", 1, accuracy, seed=seed) for seed, accuracy in enumerate((0.6, 0.62))),
        row("dpdm", 10, 0.8),
        row("dp-sgd", 0, 0.2, reference="public", noise=""),
        row("dp-sgd", 1, 0.5),
        row("dp-sgd", 10, 0.9),
        row("dp-sgd", math.inf, 0.95, reference="nonprivate", noise=""),
        row("dpdm", 10, 0.81, variant="views=1"),
        real(),
        row("dpdm", 10, 0.1, preset="gpu"),
        row("dp-sgd", 10, 0.1, noise="reproducible"),
    ]
    return select(make_frame(found, [Column("accuracy", "high", "")]), ENTRIES, REQUEST)


def printed(table: Table) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


def test_rows_of_the_request_are_selected_with_their_frame(rows: pd.DataFrame) -> None:
    assert len(rows) == 9
    assert accuracy(rows, "dpdm", 1)[0] == pytest.approx(0.61)
    assert accuracy(rows, "dp-sgd", 10)[0] == pytest.approx(0.9)
    assert accuracy(rows, "dp-sgd", 0)[0] == pytest.approx(0.2)
    assert accuracy(rows, "dp-sgd", math.inf)[0] == pytest.approx(0.95)
    assert accuracy(rows, "dpdm[views=1]", 10)[0] == pytest.approx(0.81)
    assert accuracy(rows, "real", math.nan)[0] == pytest.approx(0.99)
    assert math.isnan(accuracy(rows, "dpdm", 0)[0])


def test_published_orders_are_judged(rows: pd.DataFrame) -> None:
    lines = judged(rows, orders(NAMES, (1.0, 10.0), VIEWS))
    assert [(line["what"], line["epsilon"], line["verdict"]) for line in lines] == [
        ("finetuning a public model ≥ training from scratch", 1, "fails"),
        ("finetuning a public model ≥ training from scratch", 10, "holds"),
        (VIEWS.what, 1, "incomplete"),
        (VIEWS.what, 10, "undecided"),
        ("dpdm: ε = 10 ≥ ε = 1", 10, "holds"),
        ("dp-sgd: ε = 10 ≥ ε = 1", 10, "holds"),
        ("dpdm[views=1]: ε = 10 ≥ ε = 1", 10, "incomplete"),
    ]
    assert "10.0 points ahead" in printed(order_table(lines))


def test_orders_need_both_methods_and_two_budgets() -> None:
    assert list(orders(("dp-feta", "dp-sgd"), (10.0,), VIEWS)) == []
    (found,) = orders(("dp-feta", "dpdm"), (10.0,), VIEWS)
    assert (found.better, found.other) == (("dp-feta", 10), ("dpdm", 10))


def test_table_has_published_accuracies_and_the_frame(rows: pd.DataFrame) -> None:
    lines = printed(accuracy_table(rows, NAMES, (1.0, 10.0), PUBLISHED)).splitlines()
    (dpsgd,) = (line for line in lines if "dp-sgd" in line)
    assert [cell.strip() for cell in dpsgd.split("│")[2:-1]] == ["0.200", "0.500 (0.94)", "0.900 (0.97)", "0.950"]
    (real_line,) = (line for line in lines if "real images" in line)
    assert "0.990" in real_line
    assert "(0.94)" not in printed(accuracy_table(rows, NAMES, (1.0, 10.0), {}))


def test_one_noise_draw_is_compared_with_several_at_equal_records() -> None:
    assert views_pair("dpdm", 8)[1:] == ("dpdm", "dpdm[views=1]")
    assert views_pair("dpdm", 1)[1:] == ("dpdm[views=4]", "dpdm")
    assert "dpdm" in reference.pair_of_views("mnist", "small")[1:]


def test_every_method_is_run_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ran: list[tuple[list[str], tuple[str, ...]]] = []

    def run_all(competing: list[Entry], request: Request, parallel: int) -> list[str]:
        if competing:
            ran.append(([e.candidate.name for e in competing], request.references))
        return ["something"] if len(ran) == 3 else []

    monkeypatch.setattr(_script, "run_all", run_all)
    monkeypatch.setattr(reference, "write_report", lambda *_: None)
    reference.main(data=tmp_path)
    (every, own), (first, framed) = ran
    assert set(METHODS.names()) < set(every)
    assert len(every) == len(METHODS.names()) + 1  # dpdm with another number of views
    assert (own, framed) == (("public", "nonprivate"), ("real", "public", "nonprivate"))
    assert first == every[:1]
    with pytest.raises(typer.Exit):
        reference.main(methods="dp-merf", data=tmp_path)
    assert len(ran) == 3


def test_wrong_method_is_a_one_line_error() -> None:
    app = typer.Typer()
    app.command()(reference.main)
    result = CliRunner().invoke(app, ["--methods", "dpmd", "--table-only"])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: unknown method 'dpmd'; did you mean dpdm or ")
    assert result.stderr.count("\n") == 1


def test_one_command_makes_the_rows(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def in_this_process(jobs: Sequence[Job], parallel: int, say: object) -> list[str]:
        for job in jobs:
            app(job.command[3:], standalone_mode=False)
        return []

    monkeypatch.setattr(_script, "run_jobs", in_this_process)
    report = tiny.parent / "report"
    arguments = {"methods": "fake", "dataset": "tiny", "public": "tiny-public", "eps": "1", "samples": 20,
                 "device": "cpu", "metrics": "brightness", "out": tiny, "report": report}  # fmt: skip
    for table_only in (False, True):
        reference.main(**arguments, table_only=table_only)
    written = pd.read_csv(report / "tiny.csv", keep_default_na=False)
    assert written["reference"].tolist() == ["public", "", "nonprivate", "real"]
    assert written["brightness"].notna().all()
    assert "real images" in capsys.readouterr().out
