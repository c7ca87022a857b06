"""What `dpbench run` prints after its table: every command works as it stands."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import events
import numpy as np
import pytest
from PIL import Image
from temporary import temporary
from typer.testing import CliRunner, Result

from dpbench import METHODS, RunRequest
from dpbench.benchmark.commands.running import Finished, run_request
from dpbench.cli import app
from dpbench.cli.pages import run_page
from dpbench.cli.pages.run_page import after_the_table

PLUGIN = Path(__file__).parents[2] / "plugin_mean.py"


@pytest.fixture(autouse=True)
def fast_companions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_page, "COMPANIONS", ("alone", "fake"))


def finish(out: Path, *methods: str, **options: Any) -> tuple[RunRequest, Finished]:
    fixed = {"dataset": "tiny", "public": "tiny-public", "samples": 30, "delta": 1e-6, "references": ("public",),
             "device": "cpu", "metrics": ("brightness", "classy"), "resolution": 32}  # fmt: skip
    request = RunRequest(methods=methods, out=out, **(fixed | options))
    request.load_plugins()
    return request, run_request(request)


def call(*words: str) -> Result:
    with temporary(METHODS):  # as in a process of its own
        return CliRunner().invoke(app, list(words), env={"COLUMNS": "200"}, catch_exceptions=False)


def commands(request: RunRequest, finished: Finished) -> list[list[str]]:
    lines = list(after_the_table(request, finished))
    return [shlex.split(line, comments=True) for line in lines if line.startswith("  dpbench ")]


def test_commands_work_for_any_options(tiny: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {"mean:spread": "3", "spread": "4", "fake:levels": "2"}
    with temporary(METHODS):
        request, finished = finish(tiny, "fake[spread=6]", "mean", plugins=[PLUGIN], settings=settings,
                                   epsilons=(2.0, float("inf")))  # fmt: skip
        found = commands(request, finished)
    assert [words[1] for words in found] == ["leaderboard", "show", "run"]
    events.EVENTS.clear()
    ranked, plan, wider = (call(*words[1:]) for words in found)
    assert [ranked.exit_code, plan.exit_code, wider.exit_code] == [0, 0, 0]
    assert "ranked by classy" in ranked.stdout
    assert "ε = 2" in plan.stdout
    assert f"finished already: {len(finished.rows)} of " in wider.stderr
    assert events.EVENTS.count("fit") == 2  # of the other method alone


@pytest.mark.parametrize("declared", [True, False])
def test_commands_work_for_folders_and_paths_with_spaces(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, declared: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(30):
        path = tmp_path / "my images" / ("train" if number < 20 else "test") / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((16, 16), 8 * number, np.uint8)).save(path)
    dataset = f"folder:{tmp_path / 'my images'}?gray"
    request, finished = finish(
        tiny.parent / "my results", "fake", "fake[spread=6]", dataset=dataset, resolution=16,
        epsilons=(1.2345678,), public_benchmark=declared, data=tmp_path, metrics=("brightness", "classy"),
    )  # fmt: skip
    found = commands(request, finished)
    assert [words[1] for words in found] == ["leaderboard", "show", "run" if declared else "leaderboard"]
    events.EVENTS.clear()
    results = [call(*words[1:]) for words in found]
    assert [result.exit_code for result in results] == [0, 0, 0]
    assert "ε = 1.235" in results[1].stdout
    assert events.EVENTS.count("fit") == declared


def test_default_options_are_left_out() -> None:
    request = RunRequest(methods=("wavelet",), epsilons=(1.0, 5.0, 10.0))
    words = next(iter(run_page._shown_plan(request)))[0]
    assert words == "dpbench show wavelet --eps 1"


def test_lines_are_short_or_have_their_purpose_above(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request, finished = finish(tiny, "fake")
    tried = list(after_the_table(request, finished))[3:]
    assert [line.startswith("  # ") for line in tried] == [True, False] * 3
    monkeypatch.setattr(run_page, "given", lambda *_: [])
    beside = list(after_the_table(request, finished))[3:]
    assert len({line.index("#") for line in beside}) == 1
    assert all(len(line) <= 80 for line in beside)


def test_no_further_private_run_is_suggested_on_private_images(tiny: Path) -> None:
    request, finished = finish(tiny, "fake", dataset="tiny:secret")
    assert [words[1] for words in commands(request, finished)] == ["leaderboard", "show", "leaderboard"]


def test_commands_that_would_fail_are_not_suggested(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    request, finished = finish(
        tiny, "fake", epsilons=(float("inf"),), metrics=("brightness",), data=tmp_path, preset="loud"
    )
    monkeypatch.setattr(run_page, "COMPANIONS", ("dp-merf",))  # has no preset "loud"
    found = commands(request, finished)
    assert [words[1:3] for words in found] == [["leaderboard", "--csv"], ["list", "methods"], ["list", "datasets"]]
    assert all(call(*words[1:]).exit_code == 0 for words in found)
    monkeypatch.setattr(run_page, "COMPANIONS", ("fake",))
    assert "run" not in [words[1] for words in commands(request, finished)]


def test_a_missing_sheet_is_not_mentioned(tiny: Path) -> None:
    request, finished = finish(tiny, "fake")
    assert next(after_the_table(request, finished)).startswith("images side by side: ")
    assert next(after_the_table(request, finished._replace(sheet=None))).startswith("this run as a file")
