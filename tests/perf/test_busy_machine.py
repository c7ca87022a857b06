"""perf/busy_machine.py: clean environments, ratios within a round, and loops that end."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from typer import Typer
from typer.testing import CliRunner

from perf import busy_machine
from perf.busy_machine import SETTINGS, Cost

PRINT = (
    "import os, json; print(json.dumps([int(os.environ.get('GOMP_SPINCOUNT', 0)), 'OMP_NUM_THREADS' in os.environ]))"
)


def test_a_step_runs_under_its_setting_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(busy_machine, "STEP", PRINT)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("GOMP_SPINCOUNT", "5")
    assert busy_machine.measure({}, "unet", 1, 1, False) == Cost(0, False)
    assert busy_machine.measure({"GOMP_SPINCOUNT": "7"}, "unet", 1, 1, False) == Cost(7, False)


def test_loops_run_meanwhile_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    start = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda command: started.append(start(command)) or started[-1])
    with busy_machine.busy(2, 10):
        assert [process.poll() for process in started] == [None, None]
    assert [process.poll() for process in started] == [-9, -9]


def test_ratios_are_to_the_default_of_the_same_round(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = iter([[1.0, 0.5], [10.0, 4.0], [2.0, 1.0]])
    calls: list[Cost] = []

    def measure(setting: dict[str, str], *_: object) -> Cost:
        if not calls:
            default, other = next(rounds)
            calls.extend([Cost(default, 1.0), *[Cost(other, 2.0)] * (len(SETTINGS) - 1)])
        return calls.pop(0)

    monkeypatch.setattr(busy_machine, "measure", measure)
    app = Typer()
    app.command()(busy_machine.main)
    shown = CliRunner().invoke(app, ["--realtime"], env={"COLUMNS": "120"}).stdout
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in shown.splitlines() if "│" in line]
    assert cells[0] == ["torch's default", "", "2.000", "1.000", "1.00"]
    assert [row[2:] for row in cells[1:]] == [["1.000", "2.000", "0.50"]] * (len(SETTINGS) - 1)
