"""Progress: bars on a terminal, plain lines otherwise, no output from ranks above 0."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from dpbench.cli.display import Bars, Lines, open_display


def test_terminal_shows_a_progress_bar() -> None:
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


def test_bar_is_removed_when_its_phase_fails() -> None:
    display = Bars(Console(file=io.StringIO(), force_terminal=True))
    with pytest.raises(KeyError), display, display.phase("doomed", 3):
        raise KeyError
    assert display._bars.tasks == []


def test_non_terminal_gets_one_line_per_finished_phase() -> None:
    console = Console(file=io.StringIO(), width=20)
    with Lines(console).phase("a phase with a long name", 3) as advance:
        advance(3, note="ε 1")
        assert console.file.getvalue() == ""
    assert console.file.getvalue() == "  a phase with a long name: 3 in 0.0 s, ε 1\n"


@pytest.mark.parametrize(("rank", "shown"), [("0", "  fitting: 1 in 0.0 s\n"), ("1", "")])
def test_only_rank_zero_reports(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], rank: str, shown: str
) -> None:
    monkeypatch.setenv("RANK", rank)
    with open_display() as display, display.phase("fitting", 1):
        pass
    assert capsys.readouterr().err == shown
