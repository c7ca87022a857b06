"""`dpbench run` on tiny data."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import events
import pandas as pd
import pytest
from calling import PLUGIN, call, run
from PIL import Image

from dpbench.results.metric_columns import asked_columns


def test_run_ends_with_a_table_and_a_csv(tiny: Path) -> None:
    result = run(tiny, "--eps", "1,2", "--seeds", "2", "--references", "real,public")
    assert result.exit_code == 0
    heading = "tiny, 16×16 · 30 samples against 40 real images · ranked by brightness"
    for text in (heading, "real", "fake (public)", "±", "4 private runs so far, Σε = 6"):
        assert text in result.stdout
    assert len(pd.read_csv(tiny / "leaderboard.csv")) == 7


def test_metrics_that_are_asked_for_are_shown(tiny: Path) -> None:
    shown = run(tiny, "--metrics", "spectrum,brightness").stdout
    assert "ranked by spectrum" in shown
    assert re.search(r"spectrum ↓.*brightness [↑↓]", shown)
    shown = run(tiny.parent / "other", "--metrics", "spectrum").stdout
    assert "ranked by spectrum" in shown
    assert "spectrum ↓" in call("leaderboard", "--out", tiny.parent / "other").stdout


def test_progress_is_plain_lines_on_standard_error(tiny: Path) -> None:
    result = run(tiny)
    assert "[1/1] fake ε=1 seed 0" in result.stderr
    assert re.search(r"  fitting: 1 in \d+\.\d s, ε 1\n", result.stderr)
    assert re.search(r"  sampling: 30 in \d+\.\d s\n", result.stderr)
    assert "fitting" not in result.stdout


def test_run_ends_with_its_images_and_commands_to_try(tiny: Path) -> None:
    result = run(tiny, "--eps", "1,2")
    after = result.stdout[result.stdout.index("images side by side:") :].splitlines()
    assert after[0] == f"images side by side: {tiny / 'tiny' / 'samples.png'}"
    assert after[1].startswith(f"this run as a file for --config: {tiny / 'experiments'}")
    assert after[2] == "try next:"
    assert len([line for line in after[3:] if line.startswith("  dpbench ")]) == 3
    assert Image.open(tiny / "tiny" / "samples.png").height > 100


def test_second_run_skips_finished_trials(tiny: Path) -> None:
    run(tiny, "--eps", "1")
    result = run(tiny, "--eps", "1,2")
    assert events.EVENTS.count("fit") == 2
    assert "finished already" in result.stderr


def test_variants_are_shown_in_progress_table_and_leaderboard(tiny: Path) -> None:
    result = run(tiny, "--set", "levels=2", method="fake,fake[spread=6, batch=0],alone")
    assert result.exit_code == 0
    assert "[2/3] fake [spread=6.0,levels=2] ε=1 seed 0" in result.stderr
    for shown in (result.stdout, call("leaderboard", "--out", tiny).stdout):
        assert "│ fake [levels=2] " in shown
        assert "│ fake [spread=6.0,levels=2] " in shown


def test_ctrl_c_message_explains_how_to_resume(tiny: Path) -> None:
    run(tiny)
    result = run(tiny, "--set", "fail=interrupt")
    assert result.exit_code == 130
    assert result.stderr.endswith(
        f"stopped by Ctrl-C; finished trials are kept in {tiny}; the same command continues\n"
    )
    assert len(pd.read_csv(tiny / "leaderboard.csv")) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "fake,fake[spread=6"], "the brackets in 'fake,fake[spread=6' are not balanced"),
        (["--eps", "0"], "ε = 0 is only for the public reference"),
        (["--eps", "1,-2"], "ε must be a positive number or inf, not -2"),
        (["--eps", "ten"], "ε must be a positive number or inf, not 'ten'"),
        (["--eps", ""], "nothing to run: give an ε or a reference"),
        (["--eps", "1e400"], "ε = 1e400 is too large; write inf for no privacy"),
        (["--set", "spread"], "'spread' is not a setting; write key=value"),
        (["--set", "spred=1"], "did you mean spread?"),
        (["--seeds", "0"], "the number of seeds must be at least 1 and at most 1,000,000, not 0"),
        (["--metrics", "none"], "no metric is named: name at least one"),
        (["--delta", "2"], "δ must lie in (0, 1)"),
        (["--device", "cuda:99"], "is not available"),
        (["--references", "reel"], "did you mean real?"),
        (["--plugin", "/nowhere.py"], "plugin file /nowhere.py does not exist"),
    ],
)
def test_invalid_input_gives_a_one_line_error_and_exit_code_2(tiny: Path, arguments: list[str], message: str) -> None:
    result = run(tiny, *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert not tiny.exists()


def test_empty_or_missing_folder_gives_a_one_line_error(tiny: Path) -> None:
    tiny.mkdir()
    for path in (tiny, tiny / "missing"):
        result = call("run", "--method", "fake", "--dataset", f"folder:{path}", "--out", tiny.parent / "results")
        assert result.exit_code == 2
        assert str(path) in result.stderr
        assert result.stderr.count("\n") == 1


def test_crash_in_a_method_gives_a_one_line_error(tiny: Path) -> None:
    result = run(tiny, "--set", "fail=crash")
    assert result.exit_code == 3
    assert "error: fake [fail=crash] ε=1 seed 0: RuntimeError: it broke (traceback in" in result.stderr


def test_warnings_are_one_line(tiny: Path) -> None:
    result = run(tiny, "--delta", "0.01", "--eps", "1.125")
    lines = [line for line in result.stderr.splitlines() if "δ" in line]
    assert lines == [
        "warning: δ = 0.01 is not below 1/n = 0.005: publishing a random record would satisfy it; "
        "the default is 1 / (n ln n) = 0.00094"
    ]


def test_a_warning_is_shown_once_for_all_trials(tiny: Path) -> None:
    result = run(tiny, "--set", "fail=warn", "--eps", "1,2", "--seeds", "2")
    assert result.stderr.count("warning: careful now") == 1


def test_plugin_example_runs(tiny: Path) -> None:
    assert len(PLUGIN.read_text().splitlines()) < 60
    result = run(tiny, "--plugin", PLUGIN, "--eps", "20", "--set", "spread=0.05", method="mean")
    assert result.exit_code == 0
    (row,) = pd.read_csv(tiny / "leaderboard.csv").to_dict("records")
    assert (row["method"], row["track"], row["accounting"]) == ("mean", "none", "verified")
    (folder,) = tiny.glob("tiny/mean/*")
    assert Image.open(folder / "samples.png").width > 100
    assert "The noisy mean image of each class" in call("list", "methods").stdout


def test_failed_trials_are_listed_after_the_table_of_the_others(tiny: Path) -> None:
    result = run(tiny, method="fake,fake[fail=crash],fake[fail=few]")
    assert result.exit_code == 3
    assert "│ fake " in result.stdout
    *_, crash, few, error = result.stderr.splitlines()
    assert crash.startswith("failed: fake [fail=crash] ε=1 seed 0: RuntimeError: it broke (traceback in ")
    assert few.startswith("failed: fake [fail=few] ε=1 seed 0: sample() must return")
    (command,) = re.findall(r"^error: 2 of 3 trials failed; `dpbench (.*)` tries them again, and no others$", error)
    again = call(*shlex.split(command))
    assert again.exit_code == 3
    assert "finished already: 1 of 3 trials\n" in again.stderr
    assert events.EVENTS.count("fit") == 3 + 2


def test_fail_fast_ends_the_run_at_the_first_failure(tiny: Path) -> None:
    result = run(tiny, "--fail-fast", method="fake[fail=crash],fake")
    assert result.exit_code == 3
    assert result.stderr.splitlines()[-1].startswith("error: fake [fail=crash] ε=1 seed 0: RuntimeError")
    assert events.EVENTS.count("fit") == 1


def test_a_trial_whose_scores_are_withheld_prints_no_empty_line(tiny: Path) -> None:
    said = run(tiny, "--dataset", "tiny:secret", "--eps", "inf").stderr.splitlines()
    assert "[1/1] fake ε=∞ (nonprivate) seed 0" in said
    assert all(line.strip() for line in said)


def test_the_column_that_ranks_rows_comes_first() -> None:
    assert [column.name for column in asked_columns(["fwd"])] == ["fwd_inf", "fwd"]
