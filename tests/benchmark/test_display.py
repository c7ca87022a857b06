"""Bars on a terminal, plain lines elsewhere; devices."""

from __future__ import annotations

import io

import pytest
import torch
from rich.console import Console

from dpbench.benchmark.display import Bars, Lines
from dpbench.core.errors import DpbenchError
from dpbench.training.device import describe_device, peak_memory_mb, resolve_device


def test_a_terminal_shows_a_bar_with_rate_time_left_and_note() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with Bars(console) as display:
        display.say("[1/1] a trial")
        with display.phase("private steps", 40) as advance:
            for _ in range(20):
                advance(note="ε 0.83")
            display._bars.refresh()
    text = console.file.getvalue()
    for part in ("[1/1] a trial", "private steps", "20/40", "ε 0.83", "/s"):
        assert part in text


def test_a_bar_goes_away_when_its_phase_fails() -> None:
    display = Bars(Console(file=io.StringIO(), force_terminal=True))
    with pytest.raises(KeyError), display, display.phase("doomed", 3):
        raise KeyError
    assert display._bars.tasks == []


def test_elsewhere_a_finished_phase_is_one_line() -> None:
    console = Console(file=io.StringIO(), width=20)
    with Lines(console).phase("a phase with a long name", 3) as advance:
        advance(3, note="ε 1")
        assert console.file.getvalue() == ""
    assert console.file.getvalue() == "  a phase with a long name: 3 in 0.0 s, ε 1\n"


def test_auto_takes_a_device_that_is_there() -> None:
    torch.zeros(1, device=resolve_device("auto"))


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cpu:1", "cuda:99", ""])
def test_absent_devices_are_refused(name: str) -> None:
    with pytest.raises(DpbenchError, match="device"):
        resolve_device(name)


def test_the_cpu_is_described_and_measured() -> None:
    assert describe_device("cpu") == "cpu"
    assert 10 < (peak_memory_mb("cpu") or 0) < 1e6
