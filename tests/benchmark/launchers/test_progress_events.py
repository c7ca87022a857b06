"""Progress that crosses from one process to another."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dpbench.benchmark.launchers import progress_events
from dpbench.benchmark.launchers.progress_events import SentDisplay, ShownEvents
from dpbench.core.progress_lines import ProgressLines


def test_phases_and_lines_arrive_with_their_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[dict[str, Any]] = []
    sent = SentDisplay(lambda event: events.append(json.loads(json.dumps(event))))
    sent.say("  it starts")
    with sent.phase("outer", 3) as outer, sent.phase("inner", 1000) as inner:
        for _ in range(1000):
            inner()
        outer(3, note="ε 1")
    assert len(events) < 12  # most steps of a quick phase are told together
    lines: list[str] = []
    shown = ShownEvents(ProgressLines(lines.append), "[2/3] ")
    for event in events:
        shown.show(event)
    assert lines[0] == "  [2/3] it starts"
    assert lines[1].startswith("  [2/3] inner: 1000 in ")
    assert lines[2].startswith("  [2/3] outer: 3 in ")
    assert lines[2].endswith(", ε 1")


def test_every_step_is_told_of_a_slow_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_events, "EVERY", 0.0)
    events: list[dict[str, Any]] = []
    with SentDisplay(events.append).phase("slow", 3) as advance:
        advance()
        advance(2)
    assert [event["steps"] for event in events if event["what"] == "advance"] == [1, 2, 0]


def test_a_phase_that_fails_is_not_shown_as_over() -> None:
    events: list[dict[str, Any]] = []
    with pytest.raises(ValueError, match="no"), SentDisplay(events.append).phase("broken", 3):
        raise ValueError("no")
    lines: list[str] = []
    shown = ShownEvents(ProgressLines(lines.append))
    for event in events:
        shown.show(event)
    assert lines == []


def test_phases_of_a_killed_sender_are_closed_when_another_begins() -> None:
    lines: list[str] = []
    shown = ShownEvents(ProgressLines(lines.append))
    shown.show({"what": "open", "number": 0, "name": "lost", "total": 5})
    shown.show({"what": "begin", "line": "[1/1] on node2"})
    shown.show({"what": "open", "number": 0, "name": "again", "total": 5})
    shown.end()
    assert [line.split(":")[0] for line in lines] == ["  [1/1] on node2"]
