"""The experiment without training: commands, selection of rows, verdicts, table, figure and files."""

from __future__ import annotations

import io
import math
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console
from rows import trial
from typer.testing import CliRunner

from dpbench.core.errors import ConfigError, DpbenchError, UnknownName
from dpbench.core.files import write_json
from dpbench.core.metric import Column
from dpbench.results.leaderboard_rows import make_frame
from dpbench.results.row import FIELDS
from experiments import hypothesis
from experiments._candidates import Candidate, Entry, Request, Task, choose, command, entries
from experiments._figure import draw
from experiments._jobs import Job, run_jobs
from experiments._verdict import MEASURES, decide, explained, select, summarise, verdict_table
from experiments.hypothesis import TASKS

OURS, OTHER = Candidate("ours", "fake", {"steps": 10}, 0.5), Candidate("rival", "fake[mode=b]", {"steps": 5})
TASK = {name: Task(name, label, "omniglot", (OURS, OTHER)) for name, label in {"d:0": "coarse", "d:1": "fine"}.items()}
ENTRIES = [Entry(TASK[a], c, a, "fake", v) for a in TASK for c, v in ((OURS, ""), (OTHER, "mode=b"))]
KINDS = {"str": "x", "int": 1, "float": 0.5, "list": ()}
COLUMNS = [Column(name, "low", "") for name in MEASURES]


def row(dataset: str = "d:0", variant: str = "", accuracy: float = 0.5, **changes: Any) -> dict[str, Any]:
    fields = {f.name: KINDS[f.type] for f in FIELDS}
    fixed = {
        "method": "fake",
        "dataset": dataset,
        "variant": variant,
        "public_source": "omniglot",
        "reference": "",
        "preset": "small",
    }
    fixed |= {"epsilon": 1.0, "seed": 0, "n_samples": 100, "accounting": "verified", "noise": "secret"}
    return fields | fixed | dict.fromkeys(MEASURES, 2.0) | {"accuracy": accuracy} | changes


def selected(*rows: dict[str, Any], **changes: Any) -> pd.DataFrame:
    return select(make_frame(rows, COLUMNS), ENTRIES, request(**changes))


def request(**changes: Any) -> Request:
    return Request(**({"epsilons": (1.0, 10.0), "seeds": 2, "samples": 100, "out": Path("out")} | changes))


@pytest.fixture
def summary() -> pd.DataFrame:
    """Ahead on d:0 and behind on d:1 at ε = 1; at ε = 10 only one candidate on d:0 has a row."""
    rows = [row(accuracy=0.8, seed=s) for s in (0, 1)] + [row(variant="mode=b", accuracy=0.7)]
    rows += [row("d:1", accuracy=0.3), row("d:1", "mode=b", 0.5), row(epsilon=10.0)]
    return summarise(selected(*rows), ENTRIES, (1.0, 10.0))


def test_rows_with_a_folder_as_public_source_are_found(tmp_path: Path) -> None:
    """The user may write a relative path; a row has the absolute one."""
    task = Task("d:0", "coarse", f"folder:{tmp_path}/photos/../photos", (OURS,))
    found = row(public_source=f"folder:{tmp_path.resolve()}/photos")
    assert len(select(make_frame([found], COLUMNS), [Entry(task, OURS, "d:0", "fake", "")], request())) == 1


def test_every_task_has_the_same_candidates_in_order() -> None:
    for task in TASKS:
        assert [c.name for c in task.candidates] == ["LL tokens", "all tokens", "dp-sgd"]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.dataset)
def test_candidates_have_equal_compute(task: Task) -> None:
    assert all(c.settings["steps"] > 0 for c in task.candidates)
    seconds = [c.private_seconds for c in task.candidates if c.step_seconds is not None]
    assert len(seconds) in (0, len(task.candidates)), "measure step_seconds for all candidates or for none"
    assert not seconds or max(seconds) <= 1.1 * min(seconds)


def test_candidate_settings_are_merged_with_those_in_brackets() -> None:
    assert Candidate("c", "m").variant == "m"
    assert Candidate("c", "m", {"steps": 3}).variant == "m[steps=3]"
    candidate = Candidate("c", "m[a=[1,2],steps=9]", {"steps": 3, "rate": 0.1}, 2.0)
    assert candidate.variant == "m[a=[1,2],steps=3,rate=0.1]"
    assert candidate.private_seconds == 6
    assert math.isnan(Candidate("c", "m").private_seconds)


def test_command_has_all_options_of_the_trials() -> None:
    asked = request(seeds=3, data=Path("data"))
    python, *words = command(TASK["d:0"], OTHER, asked)
    assert python == sys.executable
    assert " ".join(words) == (
        "-m dpbench run --method fake[mode=b,steps=5] --dataset d:0 --public omniglot --eps 1,10 --seeds 3 "
        "--samples 100 --references none --preset small --out out --data data"
    )
    assert "--data" not in command(TASK["d:0"], OTHER, request())


def test_tasks_are_selected_by_dataset_name() -> None:
    tasks = list(TASK.values())
    assert choose(tasks, []) == tasks
    assert choose(tasks, ["d:1"]) == [TASK["d:1"]]
    with pytest.raises(UnknownName, match="unknown dataset of this experiment 'd:2'; did you mean"):
        choose(tasks, ["d:2"])


def test_entries_have_the_variant_of_the_rows(tiny: Path) -> None:
    candidates = (Candidate("a", "fake", {"spread": 5}), Candidate("b", "fake[levels=2]", {"spread": 6}))
    found = entries([Task("tiny:plain", "", "tiny-public", candidates)], request())
    assert [e[2:] for e in found] == [("tiny:plain", "fake", ""), ("tiny:plain", "fake", "spread=6.0,levels=2")]
    with pytest.raises(ConfigError, match="unknown setting 'spred'"):
        list(entries([Task("tiny", "", "tiny-public", (Candidate("a", "fake[spred=1]"),))], request()))


@pytest.mark.parametrize(
    "other",
    [
        {"dataset": "e"},
        {"method": "other"},
        {"variant": "mode=c"},
        {"public_source": "other"},
        {"epsilon": 5.0},
        {"seed": 2},
        {"n_samples": 50},
        {"reference": "public"},
        {"preset": "gpu"},
        {"accounting": "unverified"},
        {"noise": "reproducible"},
    ],
)
def test_rows_of_other_requests_are_excluded(other: dict[str, Any]) -> None:
    found = selected(row(), row(**other))
    assert found[["task", "candidate", "epsilon", "seed"]].to_numpy().tolist() == [["d:0", "ours", 1.0, 0]]


def test_newest_row_of_a_repeated_trial_is_selected() -> None:
    rows = [row(accuracy=a, date=f"2026-01-0{day}") for a, day in ((0.1, 1), (0.3, 3), (0.2, 2))]
    assert selected(*rows)["accuracy"].tolist() == [0.3]


def test_selected_rows_are_sorted() -> None:
    keys = [(d, v, e) for d in ("d:0", "d:1") for v in ("", "mode=b") for e in (1.0, 10.0)]
    rows = [row(d, v, epsilon=e) for d, v, e in reversed(keys)]
    found = selected(*rows)
    assert list(zip(found["dataset"], found["variant"], found["epsilon"], strict=True)) == keys


@pytest.mark.parametrize(
    ("accuracy", "verdict", "text"),
    [
        ((0.8, 0.7, 0.75), "holds", "holds: 5.0 points ahead"),
        ((0.8, 0.7, 0.79), "undecided", "undecided within 2 points: 1.0 points ahead"),
        ((0.8, 0.815, 0.2), "undecided", "undecided within 2 points: 1.5 points behind"),
        ((0.8, 0.2, 0.9), "fails", "fails: 10.0 points behind"),
        ((0.8, math.nan, 0.1), "incomplete", "incomplete: trials are missing"),
        ((math.nan, 0.3, 0.1), "incomplete", "incomplete: trials are missing"),
    ],
)
def test_verdict_depends_on_the_lead_over_the_best_other(accuracy: tuple[float, ...], verdict: str, text: str) -> None:
    judged = decide(dict(zip("abc", accuracy, strict=True)))
    assert judged["verdict"] == verdict
    assert explained(pd.Series(judged)) == text


def test_summary_has_means_and_verdicts(summary: pd.DataFrame) -> None:
    keys = ["task", "epsilon", "candidate", "seeds", "verdict"]
    assert summary[keys].to_numpy().tolist() == [
        ["d:0", 1.0, "ours", 2, "holds"],
        ["d:0", 1.0, "rival", 1, "holds"],
        ["d:0", 10.0, "ours", 1, "incomplete"],
        ["d:0", 10.0, "rival", 0, "incomplete"],
        ["d:1", 1.0, "ours", 1, "fails"],
        ["d:1", 1.0, "rival", 1, "fails"],
        ["d:1", 10.0, "ours", 0, "incomplete"],
        ["d:1", 10.0, "rival", 0, "incomplete"],
    ]
    assert summary["accuracy"][0] == pytest.approx(0.8)
    assert summary["private_seconds"][0] == 5


def test_table_shows_verdicts(summary: pd.DataFrame) -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(verdict_table(summary))
    lines = console.export_text().splitlines()
    (fails,) = [line for line in lines if "fails: 20.0 points behind" in line]
    assert "d:1 (fine)" in fails
    assert "0.300" in fails
    assert sum("incomplete" in line for line in lines) == 2


def test_figure_has_panels_and_verdicts(summary: pd.DataFrame) -> None:
    figure = draw(summary)
    assert len(figure.axes) == 2 * len(MEASURES)
    assert [axes.get_ylabel() for axes in figure.axes[:: len(MEASURES)]] == ["ε = 1", "ε = 10"]
    accuracy = figure.axes[0]
    assert [text.get_text() for text in accuracy.texts] == ["holds", "fails"]
    ours, rival = (container.lines[0] for container in accuracy.containers)
    assert ours.get_ydata().tolist() == pytest.approx([0.8, 0.3])
    assert rival.get_ydata().tolist() == pytest.approx([0.7, 0.5])
    assert [label.get_text() for label in figure.axes[-1].get_xticklabels()] == ["d:0\ncoarse", "d:1\nfine"]
    assert [text.get_text() for text in figure.legends[0].texts] == ["ours", "rival"]


def test_datasets_of_different_plugins_are_not_connected(summary: pd.DataFrame) -> None:
    apart = summary.replace({"task": {"d:1": "mnist"}})
    assert [len(draw(s).axes[0].containers) for s in (summary, apart)] == [2, 4]


def test_report_writes_table_csv_and_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = request(out=tmp_path / "out")
    with pytest.raises(DpbenchError, match="no finished trials of this experiment"):
        hypothesis.write_report(ENTRIES, asked, tmp_path / "report")
    for number, (variant, accuracy) in enumerate([("mode=b", 0.7), ("", 0.8), ("other", 0.9)]):
        own = {"variant": variant, "public_source": "omniglot", "preset": "small", "key": str(number)}
        record = trial(method="fake", dataset="d:0", **own)
        parts = {"values": dict.fromkeys(MEASURES, accuracy), "missing": {}, "caveats": [], "seconds": {}, "ci95": {}}
        protocol = {"n_samples": 100, "n_reference": 50}
        write_json(tmp_path / f"out/d0/fake/{number}/trial.json", record.as_json())
        write_json(tmp_path / f"out/d0/fake/{number}/scores.json", parts | {"protocol": protocol})
    hypothesis.write_report(ENTRIES, asked, tmp_path / "report")
    written = pd.read_csv(tmp_path / "report/hypothesis.csv", keep_default_na=False)
    assert written["variant"].tolist() == ["", "mode=b"]
    assert [name for name in written if name in {f.name for f in FIELDS}] == [f.name for f in FIELDS]
    assert "candidate" not in written
    assert (tmp_path / "report/hypothesis.png").read_bytes().startswith(b"\x89PNG")
    assert "holds: 10.0 points ahead" in capsys.readouterr().out


def test_invalid_request_gives_a_one_line_error() -> None:
    import typer

    app = typer.Typer()
    app.command()(hypothesis.main)
    result = CliRunner().invoke(app, ["--datasets", "mnits", "--table-only"])
    assert result.exit_code == 2
    assert result.stderr == "error: unknown dataset of this experiment 'mnits'; did you mean mnist?\n"


def python(name: str, code: str) -> Job:
    return Job(name, [sys.executable, "-c", code])


def test_failed_job_does_not_stop_the_others() -> None:
    lines: list[str] = []
    threads = "import os, sys; print('no'); print('threads', os.environ['OMP_NUM_THREADS'], file=sys.stderr)"
    failed = run_jobs([python("a", "raise SystemExit(3)"), python("b", threads)], 1, lines.append)
    assert failed == ["a"]
    assert lines == ["b: threads 1"]


def test_jobs_run_in_parallel(tmp_path: Path) -> None:
    def meets(own: str, other: str) -> str:
        wait = f"while not (p / '{other}').exists() and time.time() < end: time.sleep(0.01)"
        start = f"import pathlib, time\np = pathlib.Path({str(tmp_path)!r})\nend = time.time() + 100\n"
        return f"{start}(p / '{own}').touch()\n{wait}\nassert (p / '{other}').exists()"

    assert run_jobs([python("a", meets("1", "2")), python("b", meets("2", "1"))], 2) == []
