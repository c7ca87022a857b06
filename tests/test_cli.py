"""The command line, end to end on tiny data."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from fakes import EVENTS
from PIL import Image
from typer.testing import CliRunner, Result

from dpbench import __version__
from dpbench.cli import app

PLUGIN = Path(__file__).with_name("plugin_mean.py")
TINY = ["--dataset", "tiny", "--public", "tiny-public", "--samples", "30", "--delta", "1e-6", "--metrics", "brightness"]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "200"}, catch_exceptions=False)


def run(out: Path, *arguments: object, method: str = "fake") -> Result:
    return call("run", "--method", method, *TINY, "--out", out, "--device", "cpu", *arguments)


def test_run_ends_with_a_table_and_a_csv(tiny: Path) -> None:
    result = run(tiny, "--eps", "1,2", "--seeds", "2", "--references", "real,public")
    assert result.exit_code == 0
    for text in ("tiny, 16×16 · ranked by brightness", "real", "fake (public)", "±", "4 private runs so far, Σε = 6"):
        assert text in result.stdout
    assert len(pd.read_csv(tiny / "leaderboard.csv")) == 7


def test_progress_goes_to_standard_error_in_plain_lines(tiny: Path) -> None:
    result = run(tiny)
    assert "[1/1] fake ε=1 seed 0" in result.stderr
    assert re.search(r"  fitting: 1 in \d+\.\d s, ε 1\n", result.stderr)
    assert re.search(r"  sampling: 30 in \d+\.\d s\n", result.stderr)
    assert "fitting" not in result.stdout


def test_a_second_run_goes_on_where_the_first_stopped(tiny: Path) -> None:
    run(tiny, "--eps", "1")
    result = run(tiny, "--eps", "1,2")
    assert EVENTS.count("fit") == 2
    assert "finished already" in result.stderr


def test_variants_show_in_progress_and_table_and_in_the_leaderboard(tiny: Path) -> None:
    result = run(tiny, "--set", "levels=2", method="fake,fake[spread=6, batch=0],alone")
    assert result.exit_code == 0
    assert "[2/3] fake [spread=6.0,levels=2] ε=1 seed 0" in result.stderr
    for shown in (result.stdout, call("leaderboard", "--out", tiny).stdout):
        assert "│ fake [levels=2] " in shown
        assert "│ fake [spread=6.0,levels=2] " in shown


def test_ctrl_c_says_how_to_go_on(tiny: Path) -> None:
    run(tiny)
    result = run(tiny, "--set", "fail=interrupt")
    assert result.exit_code == 130
    assert f"finished trials are kept in {tiny}; run the same command again" in result.stderr
    assert len(pd.read_csv(tiny / "leaderboard.csv")) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "fake,fake[spread=6"], "a bracket in 'fake,fake[spread=6' has no partner"),
        (["--eps", "0"], "ε = 0 is the public reference"),
        (["--eps", "1,-2"], "ε must be a positive number or inf, not -2"),
        (["--eps", "ten"], "ε must be a positive number or inf, not 'ten'"),
        (["--eps", ""], "ε must be a positive number or inf, not ''"),
        (["--set", "spread"], "'spread' is not a setting; write key=value"),
        (["--set", "spred=1"], "did you mean spread?"),
        (["--seeds", "0"], "seeds must be at least 1"),
        (["--delta", "2"], "δ must lie in (0, 1)"),
        (["--device", "cuda:99"], "is absent"),
        (["--references", "reel"], "did you mean real?"),
        (["--plugin", "/nowhere.py"], "plugin file /nowhere.py does not exist"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tiny: Path, arguments: list[str], message: str) -> None:
    result = run(tiny, *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert not tiny.exists()


def test_an_empty_or_missing_folder_is_one_line(tiny: Path) -> None:
    tiny.mkdir()
    for path in (tiny, tiny / "missing"):
        result = call("run", "--method", "fake", "--dataset", f"folder:{path}", "--out", tiny.parent / "results")
        assert result.exit_code == 2
        assert str(path) in result.stderr
        assert result.stderr.count("\n") == 1


def test_a_crash_inside_a_method_is_one_line(tiny: Path) -> None:
    result = run(tiny, "--set", "fail=crash")
    assert result.exit_code == 2
    assert "error: fake [fail=crash] ε=1 seed 0 failed: RuntimeError: it broke (traceback in" in result.stderr


def test_warnings_are_one_line(tiny: Path) -> None:
    result = run(tiny, "--delta", "0.01", "--eps", "1.125")
    assert "warning: δ = 0.01 is above 1e-05: a weak guarantee\n" in result.stderr


def test_the_plugin_example_is_a_complete_method(tiny: Path) -> None:
    assert len(PLUGIN.read_text().splitlines()) < 60
    result = run(tiny, "--plugin", PLUGIN, "--eps", "20", "--set", "spread=0.05", method="mean")
    assert result.exit_code == 0
    (row,) = pd.read_csv(tiny / "leaderboard.csv").to_dict("records")
    assert (row["method"], row["track"], row["accounting"]) == ("mean", "none", "verified")
    (folder,) = tiny.glob("tiny/mean/*")
    assert Image.open(folder / "samples.png").width > 100
    assert "The noisy mean image of each class" in call("list", "methods").stdout


def test_list_names_everything_with_its_first_docstring_line(tiny: Path) -> None:
    assert re.search(r"^fake +The noisy mean image of all classes\. *$", call("list", "methods").stdout, re.MULTILINE)
    assert "tiny-public" not in call("list", "datasets").stdout
    assert "tiny-public" in call("list", "public").stdout
    assert "brightness" in call("list", "metrics").stdout
    assert "bicubic" in call("list", "refiners").stdout


def test_a_plugin_that_cannot_be_imported_shows_its_error_in_the_list(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dpbench

    monkeypatch.setitem(dpbench.METRICS._builtin, "broken", "no_such_module:Metric")
    result = call("list", "metrics")
    assert result.exit_code == 0
    assert "No module named 'no_such_module'" in result.stdout
    assert "brightness" in result.stdout


def test_show_explains_a_method_and_its_settings(tiny: Path) -> None:
    text = call("show", "fake").stdout
    for part in (
        "A longer explanation.",
        "images",
        "nobody (2020)",
        "spread",
        "float",
        "5.0",
        "pixel noise of the",
        "loud",
    ):
        assert part in text
    assert "hold-out of tiny train" in text


def test_show_explains_a_refiner_and_its_settings(tiny: Path) -> None:
    text = call("show", "residual").stdout
    for part in ("residual: Diffusion of what bicubic", "arXiv 2501.13349", "sampling_steps", "calls of the network"):
        assert part in text


def test_show_calibrates_a_plan_without_opening_the_data(tiny: Path) -> None:
    result = call("show", "fake", "--dataset", "tiny", "--eps", "1,2", "--delta", "1e-6", "--set", "batch=20")
    assert result.exit_code == 0
    for part in ("mean", "NoisySum", "steps", "DPSGD", "0.1", "by PLD", "by RDP", "ε = 2"):
        assert part in result.stdout
    assert EVENTS == []


def test_show_calibrates_the_plan_of_a_variant(tiny: Path) -> None:
    result = call("show", "fake[batch=20]", "--dataset", "tiny", "--eps", "1", "--delta", "1e-6")
    assert result.exit_code == 0
    for part in ("fake: The noisy mean", "plan of fake [batch=20] on tiny", "DPSGD"):
        assert part in result.stdout


def test_show_refuses_unknown_methods(tiny: Path) -> None:
    result = call("show", "fak")
    assert (result.exit_code, result.stderr) == (2, "error: unknown method 'fak'; did you mean fake?\n")


def _refine(folder: Path, out: Path, *arguments: object) -> Result:
    fixed = ["--refiner", "bicubic", "--public", "tiny-public", "--device", "cpu"]
    return call("refine", "--input", folder, "--out", out, *fixed, *arguments)


def test_refine_says_where_the_images_are_and_shows_its_progress(tiny: Path) -> None:
    folder = tiny.parent / "coarse"
    folder.mkdir()
    Image.new("L", (4, 4), 90).save(folder / "a.png")
    (folder / "notes.txt").touch()
    result = _refine(folder, tiny, "--scale", "2", "--seed", "3", "--plugin", PLUGIN)
    assert (result.exit_code, result.stdout) == (0, f"1 image in {tiny}; before and after: {tiny / 'sheet.png'}\n")
    assert Image.open(tiny / "a.png").size == (8, 8)
    assert "left out, as no image: notes.txt" in result.stderr
    assert re.search(r"  refining: 1 in \d+\.\d s\n", result.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "coarse (No such file or directory); name a folder of images"),
        (["--scale", "3"], "scale must be a power of two"),
        (["--refiner", "regressoin"], "did you mean regression?"),
        (["--set", "steps=2"], "refiner 'bicubic': unknown setting 'steps'"),
        (["--set", "steps"], "'steps' is not a setting; write key=value"),
        (["--public", "textires"], "did you mean textures?"),
        (["--plugin", "/nowhere.py"], "plugin file /nowhere.py does not exist"),
    ],
)
def test_what_is_wrong_with_a_request_to_refine_is_one_line(tiny: Path, arguments: list[str], message: str) -> None:
    folder = tiny.parent / "coarse"
    if arguments:
        folder.mkdir()
        Image.new("RGB", (4, 4)).save(folder / "a.png")
    result = _refine(folder, tiny, *arguments)
    assert result.exit_code == 2
    (line,) = (line for line in result.stderr.splitlines() if not line.startswith("  reading: "))
    assert line.startswith("error: ")
    assert message in line
    assert not tiny.exists()


def test_leaderboard_exports_what_there_is(tiny: Path) -> None:
    run(tiny, "--seeds", "2")
    path = tiny.parent / "copy.csv"
    result = call("leaderboard", "--out", tiny, "--csv", path, "--dataset", "tiny")
    assert result.exit_code == 0
    assert path.read_bytes() == (tiny / "leaderboard.csv").read_bytes()
    call("leaderboard", "--out", tiny, "--csv", path, "--over-seeds")
    (line,) = pd.read_csv(path).to_dict("records")
    assert line["seeds"] == 2
    assert line["brightness_ci95"] >= 0


def test_leaderboard_says_what_is_missing(tiny: Path) -> None:
    assert "there are no results" in call("leaderboard", "--out", tiny).stderr
    run(tiny)
    assert "did you mean tiny?" in call("leaderboard", "--out", tiny, "--dataset", "tin").stderr
    assert "did you mean brightness?" in call("leaderboard", "--out", tiny, "--by", "brigthness").stderr


def test_help_is_instant_and_imports_nothing_heavy() -> None:
    code = "import sys, dpbench.cli\nsys.argv = ['dpbench', 'run', '--help']\n"
    code += "try: dpbench.cli.main()\nexcept SystemExit: pass\n"
    heavy = "print('HEAVY', [m for m in ('torch', 'pandas', 'numpy', 'scipy') if m in sys.modules])"
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code + heavy], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout
    assert "--eps" in done.stdout
    assert time.perf_counter() - start < 5  # 0.3 s; generous, as a test machine may be busy


def test_version() -> None:
    assert call("--version").stdout == f"dpbench {__version__}\n"
