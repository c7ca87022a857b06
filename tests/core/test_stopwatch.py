"""Time of a phase over several attempts."""

from __future__ import annotations

from pathlib import Path

import pytest

from dpbench.core import stopwatch
from dpbench.core.checkpoints import Checkpoints
from dpbench.core.stopwatch import Stopwatch


class Clock:
    """A clock that tests move on."""

    now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(stopwatch, "time", clock)
    return clock


def test_saved_time_of_earlier_attempts_is_added(clock: Clock, tmp_path: Path) -> None:
    for before in (0.0, 10.0, 20.0):
        watch = Stopwatch(tmp_path / "a.json")
        clock.now += 10
        assert watch.seconds == before + 10
        watch.save()
        clock.now += 5  # lost with the attempt
        assert watch.seconds == before + 15


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"seconds": "x"}'])
def test_damaged_file_counts_as_no_earlier_attempt(clock: Clock, tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    watch = Stopwatch(tmp_path / "a.json")
    clock.now += 3
    assert watch.seconds == 3


def test_time_belongs_to_the_code_of_the_states(clock: Clock, tmp_path: Path) -> None:
    first = Checkpoints(tmp_path, code="a")
    clock.now += 7
    first.state("x", None).save({})
    assert Checkpoints(tmp_path, code="a").stopwatch.seconds == 7
    assert Checkpoints(tmp_path, code="b").stopwatch.seconds == 0
    assert Checkpoints(tmp_path, writes=False, code="a").stopwatch.seconds == 0
