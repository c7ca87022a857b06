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


MNIST = ["--records", "60000", "--batch", "4096", "--delta", "1e-5"]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["--eps", "1", "--steps", "2000"], {"noise multiplier": 11.45, "ε": 0.999}),
        (["--noise", "11.45", "--steps", "2000"], {"noise multiplier": 11.45, "ε": 1.0}),
        (["--noise", "11.45", "--eps", "1"], {"steps": 2000, "ε": 1.0}),
        (["--noise", "1.694", "--steps", "2000"], {"ε": 10.0}),
    ],
)
def test_privacy_finds_the_third_of_noise_steps_and_epsilon(given: list[str], found: dict[str, float]) -> None:
    result = call("privacy", *MNIST, *given)
    assert result.exit_code == 0
    header, _, line = [line for line in result.stdout.splitlines() if line.strip()]
    cells = dict(zip(re.split(r" {2,}", header.strip()), line.split(), strict=True))
    assert {name: float(cells[name]) for name in found} == pytest.approx(found, rel=4e-3)


def test_privacy_takes_a_rate_in_place_of_a_batch_and_several_budgets() -> None:
    result = call("privacy", "--rate", "0.01", "--delta", "1e-6", "--steps", "20", "--eps", "0.5,2")
    assert result.stdout.count("0.01 ") == 2
    assert call("privacy", "--rate", "0.01", "--records", "1000", "--steps", "20", "--noise", "2").exit_code == 0


def test_privacy_prices_every_mechanism_of_a_method(tiny: Path) -> None:
    plan = ["privacy", "fake", "--dataset", "tiny", "--delta", "1e-6", "--set", "batch=20"]
    calibrated = call(*plan, "--eps", "1,2").stdout
    for part in ("mean", "NoisySum", "steps", "DPSGD", "ε alone", "ε = 1,", "ε = 2,", "by PLD"):
        assert part in calibrated
    (noise,) = re.findall(r"mean +NoisySum +16 +1 +1 +([\d.]+)", calibrated)[:1]
    priced = call(*plan, "--noise", noise).stdout
    assert float(re.search(r"whole plan: ([\d.]+)", priced)[1]) == pytest.approx(1.0, rel=0.01)
    assert EVENTS == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either --batch with --records, or --rate"),
        (["--batch", "10", "--eps", "1", "--steps", "5"], "--batch needs --records"),
        (["--batch", "10", "--rate", "0.1"], "give either --batch with --records, or --rate"),
        (["--batch", "10", "--records", "5"], "an expected batch of 10 cannot be drawn from 5 records"),
        (["--rate", "0.1", "--eps", "1", "--steps", "5"], "give --delta, or --records"),
        ([*MNIST, "--eps", "1"], "give two of --eps, --noise and --steps"),
        ([*MNIST, "--eps", "1", "--noise", "1", "--steps", "5"], "give two of --eps, --noise and --steps"),
        ([*MNIST, "--eps", "1", "--steps", "0"], "needs at least one release"),
        ([*MNIST, "--eps", "0.01", "--noise", "0.3"], "one release costs ε"),
        (["--rate", "1.5", "--delta", "1e-6", "--noise", "1", "--steps", "5"], "sampling rate must lie in (0, 1]"),
        (["--eps", "1", "--propose"], "--propose needs a method"),
        (["fake", "--dataset", "tiny"], "give either --eps, to calibrate the plan of fake, or --noise"),
        (["fake", "--dataset", "tiny", "--eps", "1", "--noise", "1"], "give either --eps"),
        (["fake", "--eps", "1", "--steps", "5"], "are settings: --set steps=200"),
        (["fake", "--dataset", "tiny", "--propose"], "--propose needs --eps"),
        (["fake", "--dataset", "tiny", "--propose", "--eps", "inf"], "a proposal needs a finite ε"),
        (["fake", "--dataset", "tiny", "--public", "tiny-public", "--propose", "--eps", "1"], "this plan has none"),
        (["fak", "--eps", "1"], "did you mean fake?"),
    ],
)
def test_privacy_answers_a_bad_request_with_one_line(tiny: Path, arguments: list[str], message: str) -> None:
    result = call("privacy", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert "fit" not in EVENTS


def test_privacy_proposes_and_says_what_to_paste(tiny: Path) -> None:
    settings = {"levels": 1, "codes": 8, "dim": 8, "depth": 1, "heads": 1, "public_steps": 2, "public_batch": 8}
    settings |= {"batch": 64, "steps": 3, "refiner.name": "bicubic", "tokenizer_steps": 3, "tokenizer_dim": 8}
    result = call(
        *("privacy", "wavelet", "--dataset", "tiny", "--public", "tiny-public", "--eps", "1", "--propose"),
        *(part for key, value in settings.items() for part in ("--set", f"{key}={value}")),
        *("--delta", "1e-6", "--device", "cpu", "--compute", "256"),
    )
    assert result.exit_code == 0
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("--set batch"))
    chosen = {"trainable": "all"} | dict(part.split("=") for part in line.replace("--set ", "").split())
    batch, steps = chosen["batch"], chosen["steps"]
    assert int(batch) * int(steps) <= 256
    assert re.search(rf"best +{chosen['trainable']} +[\d,]+ +{batch} +{steps} +[\d.]+ +[\d.]+ +1\.00", result.stdout)
    for trainable in ("all", "lora", "chosen"):
        assert trainable in result.stdout
    assert "as set" in result.stdout or batch == "64"
    assert "rehearsal on public data: finetune the coarse stage (private)" in result.stderr
    assert EVENTS == []


def test_conversions_need_no_torch() -> None:
    code = (
        "import sys, dpbench.cli\nsys.argv = 'dpbench privacy --rate 0.01 --delta 1e-6 --steps 9 --noise 2'.split()\n"
    )
    code += "try: dpbench.cli.main()\nexcept SystemExit: pass\nprint('TORCH', 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "TORCH False" in done.stdout


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
