"""Progress as lines of text."""

from __future__ import annotations

import threading

import pytest

from dpbench.core import progress_lines
from dpbench.core.progress_lines import ProgressLines, Together


def test_phase_that_does_not_advance_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_lines, "EVERY", 0.01)
    lines: list[str] = []
    spoken = threading.Event()

    def write(line: str) -> None:
        lines.append(line)
        spoken.set()

    with ProgressLines(write).phase("a slow release", 3) as advance:
        advance(1, "ε 1")
        spoken.clear()
        assert spoken.wait(60)
    assert "  a slow release: 1 of 3 · ε 1" in lines
    assert lines[-1].startswith("  a slow release: 3 in ")
    assert not any("watch" in thread.name for thread in threading.enumerate())


def test_work_outside_phases_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_lines, "EVERY", 0.01)
    lines: list[str] = []
    spoken = threading.Event()
    shown = ProgressLines(lambda line: lines.append(line) or spoken.set())
    with shown.overview(lambda: "trial 1 of 2 · private training"):
        assert spoken.wait(60)
    assert set(lines) == {"  trial 1 of 2 · private training"}


def test_failed_phase_is_not_reported_as_finished() -> None:
    lines: list[str] = []
    with pytest.raises(KeyError), ProgressLines(lines.append).phase("doomed", 3):
        raise KeyError
    assert lines == []


def test_together_shows_at_all_places() -> None:
    first, second = list[str](), list[str]()
    with Together(ProgressLines(first.append), ProgressLines(second.append)).phase("steps", 2) as advance:
        advance(2, "done")
    assert first == second == ["  steps: 2 in 0.0 s, done"]
