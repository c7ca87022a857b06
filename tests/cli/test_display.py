"""Progress: bars on a terminal, plain lines otherwise, no output from ranks above 0."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from dpbench.cli.display import Bars, Lines, open_display
from dpbench.core import progress_lines as module


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


def test_overview_stands_above_the_bars_and_is_always_new() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=40)
    stages = iter(f"trial {number} of 5 · private training · about 3 min left" for number in range(100))
    with Bars(console) as display:
        with display.overview(lambda: next(stages)), display.phase("private steps", 40):
            top, _ = display._bars.get_renderables()
            assert next(stages) > top.plain.strip()
            console.file.truncate(0)
            display._bars.refresh()
        shown = console.file.getvalue()
        assert shown.index("trial") < shown.index("private steps")
        assert "·" in shown
        assert "about 3 min left" not in shown  # cut to one line of the terminal
        assert len([*display._bars.get_renderables()]) == 1


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


def test_non_terminal_gets_a_line_if_there_was_none_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 10.0, 31.0, 31.0, 50.0, 62.0, 62.0, 63.0, 99.0, 99.0])
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(now), perf_counter=lambda: 0.0))
    console = Console(file=io.StringIO(), width=20)
    lines = Lines(console)
    with lines.phase("steps", 9) as advance:
        advance(2, "ε 1")  # at 10 s
        with lines.overview(lambda: "trial 2 of 5 · about 3 min left"):
            advance()  # at 31 s
            advance(2)
            advance(0, "ε 2")  # at 62 s
        advance()
        advance()  # at 99 s
        said = console.file.getvalue().splitlines()
        now = iter([100.0])
    assert said == [
        "  steps: 3 of 9 · ε 1 · trial 2 of 5 · about 3 min left",
        "  steps: 5 of 9 · ε 2 · trial 2 of 5 · about 3 min left",
        "  steps: 7 of 9 · ε 2",
    ]


@pytest.mark.parametrize(("rank", "shown"), [("0", "  fitting: 1 in 0.0 s\n"), ("1", "")])
def test_only_rank_zero_reports(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], rank: str, shown: str
) -> None:
    monkeypatch.setenv("RANK", rank)
    with open_display() as display, display.phase("fitting", 1):
        pass
    assert capsys.readouterr().err == shown
