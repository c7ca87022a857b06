"""perf/gpu.py: the tiny form on a CPU, isolation of failing sections, and output files."""

from __future__ import annotations

import importlib
import json
import math
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from rich.console import Console
from typer.testing import CliRunner

from dpbench.core.errors import PrivacyError
from perf import _gpu_sections, gpu
from perf._gpu_checks import OUT_OF_TIME, Cell, Check, Setting, Value, at_most, run_checks
from perf._gpu_report import Result, show, to_markdown
from perf._gpu_sections import SECTIONS, WHOLE, Section, cells_of

ROOT = Path(__file__).parents[2]

BROKEN = Section("broken_sections", "what goes wrong", 60)


def test_tiny_form_passes_on_a_cpu(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "perf/gpu.py", "--tiny", "--device", "cpu", "--minutes", "60"]
    done = subprocess.run(
        [*command, "--out", "gpu.json", "--markdown", "gpu.md"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    assert {path.name for path in tmp_path.iterdir()} == {"gpu.json", "gpu.md"}

    found = json.loads((tmp_path / "gpu.json").read_text())
    assert (found["form"], found["passed"]) == ("tiny", True)
    cells = {s["name"]: {(c["row"], c["column"]): c for c in s["cells"]} for s in found["sections"]}
    assert list(cells) == list(SECTIONS)
    for name, section in SECTIONS.items():  # every check has filled its cells, and none failed
        checks = list(importlib.import_module(section.module).checks(Setting("cpu", tiny=True)))
        assert set(cells[name]) == {(check.row, column) for check in checks for column in check.columns}
        assert all(c["passed"] is not False for c in cells[name].values())
        assert any(c["passed"] for c in cells[name].values())

    def numbers(section: str, *columns: str) -> list[float]:
        return [c["number"] for (_, column), c in cells[section].items() if column in columns]

    engines = ("book-keeping", "opacus", "vmap")
    for views in (1, 8):
        errors = numbers("gradients", *(f"{engine} K={views}" for engine in engines))
        assert len(errors) > 40
        assert all(0 < e < 0.02 for e in errors)
    contributions = numbers("clip", *engines)
    assert max(contributions) <= 1 + 1e-5
    assert sum(c > 0.99 for c in contributions) > 0.9 * len(contributions)  # the attacks reach the clip
    assert all(0 < abs(x) < 6 for x in numbers("noise", "mean", "std", "releases"))
    assert all(abs(x) < 6 for x in numbers("noise", "size"))  # the mean size may be the expected one
    assert all(0.1 < x < 100 for x in numbers("speed", "book-keeping: time", "opacus: time"))
    assert all(x > 0 for x in numbers("trial", "fit", "ε spent"))
    assert all(x > 0 for x in numbers("throughput", "images/s") + numbers("presets", "minutes", "private steps"))
    assert max(numbers("throughput", "error", "other tokens")) == 0  # compared with itself
    ghost = cells["speed"]["U-Net, fp32, K=8", "opacus-ghost: time"]
    assert ghost["number"] is None
    assert "refused" in ghost["why"]
    markdown = (tmp_path / "gpu.md").read_text()
    assert all(f"## {name}" in markdown for name in SECTIONS)


def run(*checks: Check, deadline: float = math.inf) -> list[Cell]:
    return list(run_checks(checks, deadline))


def failing_with(error: BaseException) -> Check:
    def measure() -> dict[str, Value]:
        raise error

    return Check("row", ("a", "b"), measure)


@pytest.mark.parametrize(
    ("error", "passed", "why"),
    [
        (PrivacyError("no rule for this layer"), None, "refused: no rule for this layer"),
        (ModuleNotFoundError("No module", name="opacus"), None, "not installed: opacus"),
        (torch.OutOfMemoryError("CUDA out of memory"), None, "out of memory"),
        (RuntimeError("illegal memory access"), False, "RuntimeError: illegal memory access"),
        (AssertionError("wrong"), False, "AssertionError: wrong"),
    ],
)
def test_error_in_a_check_does_not_stop_the_others(error: BaseException, passed: bool | None, why: str) -> None:
    fine = Check("next", ("a",), lambda: {"a": at_most(1.0, 2.0), "extra": Value(3.0)})
    cells = run(failing_with(error), fine)
    assert cells[:2] == [Cell("row", column, Value(None, passed, why)) for column in "ab"]
    assert cells[2:] == [Cell("next", "a", Value(1.0, True)), Cell("next", "extra", Value(3.0))]


def test_nan_does_not_pass() -> None:
    assert at_most(math.nan, 1.0).passed is False
    assert at_most(1.1, 1.0).passed is False


def test_checks_after_the_deadline_are_skipped() -> None:
    def never() -> dict[str, Value]:
        raise AssertionError("it was run")

    assert run(Check("late", ("x",), never), deadline=time.time() - 1) == [
        Cell("late", "x", Value(None, None, OUT_OF_TIME))
    ]


def test_section_without_time_is_skipped() -> None:
    section = Section("no_such_module", "", 60)
    assert list(cells_of(section, Setting("cpu", True), 0.0)) == [Cell(WHOLE, "", Value(None, None, OUT_OF_TIME))]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starts the fork server with preloaded imports, so that section processes start quickly."""
    monkeypatch.setattr(_gpu_sections, "SECTIONS", {"one": BROKEN, "two": BROKEN})
    assert list(cells_of(BROKEN, Setting("works", True), 300)) == [Cell("first", "x", Value(1.0, True))]


@pytest.mark.usefixtures("server")
def test_crashed_section_keeps_its_cells() -> None:
    first, death = cells_of(BROKEN, Setting("dies", True), 60)
    assert first == Cell("first", "x", Value(1.0, True))
    assert (death.row, death.value.passed) == (WHOLE, False)
    assert "exit 3" in death.value.why


@pytest.mark.usefixtures("server")
def test_hanging_section_is_killed_and_keeps_its_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = cells_of(BROKEN, Setting("hangs", True), 600)
    assert next(cells) == Cell("first", "x", Value(1.0, True))
    monkeypatch.setattr(_gpu_sections, "GRACE", -600.0)  # time is up
    (end,) = cells
    assert (end.row, end.value.passed) == (WHOLE, False)
    assert "killed: a check ran" in end.value.why


def invoke(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setattr(gpu, "SECTIONS", {"one": BROKEN, "two": BROKEN})
    app = typer.Typer()
    app.command()(gpu.main)
    return CliRunner().invoke(app, arguments)


@pytest.mark.usefixtures("server")
def test_failed_check_gives_exit_code_1_and_other_sections_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gpu, "about", lambda device, tiny: {"device": device})
    monkeypatch.setattr(gpu, "resolve_device", str)
    out = tmp_path / "gpu.json"
    result = invoke(monkeypatch, "--tiny", "--sections", "one,two", "--device", "fails", "--out", str(out))
    assert result.exit_code == 1
    assert "2 of 4 checks passed" in result.stdout
    found = json.loads(out.read_text())
    assert not found["passed"]
    assert [(s["name"], s["passed"], len(s["cells"])) for s in found["sections"]] == [
        ("one", False, 2),
        ("two", False, 2),
    ]


def test_run_without_time_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gpu, "about", lambda device, tiny: {"device": device})
    out = tmp_path / "gpu.json"
    result = invoke(monkeypatch, "--tiny", "--sections", "one", "--device", "cpu", "--minutes", "0", "--out", str(out))
    assert result.exit_code == 1
    assert "0 of 0 checks passed, 1 without a number" in result.stdout
    assert OUT_OF_TIME in result.stdout
    assert (found := json.loads(out.read_text()))["sections"][0]["passed"] is None
    assert not found["passed"]


def test_invalid_options_are_rejected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for arguments, said in (
        (["--sections", "three", "--device", "cpu", "--tiny"], "three"),
        (["--sections", "one", "--device", "cpu"], "--tiny"),
        (["--sections", "one", "--device", "cuda:99", "--tiny"], "cuda:99"),
    ):
        result = invoke(monkeypatch, "--out", str(tmp_path / "gpu.json"), *arguments)
        assert result.exit_code == 2
        assert said in result.output
    assert not list(tmp_path.iterdir())


def a_result() -> Result:
    cells = [
        Cell("a", "x", Value(1.00045, False)),
        Cell("a", "y", Value(None, True, "verified")),
        Cell("b", "x", Value(None, None, "refused: it cannot")),
        Cell("c|d", "y", Value(3e-7, True)),
    ]
    return Result("clip", "ratios", 1.0, cells)


def test_tables_show_failures_reasons_and_missing_values() -> None:
    text = to_markdown({"device": "H100"}, [a_result()])
    assert "| a | FAIL 1.000450 | ok |" in text
    assert "| b | — |  |" in text
    assert "| c/d |  | 3e-07 |" in text
    assert "- b, x: refused: it cannot" in text
    assert "2 of 3 checks passed, 1 without a number" in text
    console = Console(width=100, record=True, file=StringIO())
    show(a_result(), console)
    assert "FAIL 1.000450" in (shown := console.export_text())
    assert "refused: it cannot" in shown
