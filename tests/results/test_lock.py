"""Only one process at a time works on a trial."""

from __future__ import annotations

import os
import signal
import threading
from functools import partial
from pathlib import Path

import fakes
import pytest
from killing import in_a_child, was_killed

import dpbench
from dpbench import METHODS
from dpbench.core.errors import DpbenchError
from dpbench.core.progress import Quiet
from dpbench.results.trial_folder import TrialFolder


class Said(Quiet):
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.spoken = threading.Event()

    def say(self, line: str) -> None:
        self.lines.append(line)
        self.spoken.set()


def test_second_process_reports_the_lock_holder_and_waits(tmp_path: Path) -> None:
    holding, held = os.pipe()

    def hold() -> None:
        with TrialFolder(tmp_path).lock(Quiet()):
            os.write(held, b"!")
            signal.pause()

    holder = in_a_child(hold)
    os.close(held)
    assert os.read(holding, 1)
    said, entered = Said(), threading.Event()

    def enter() -> None:
        with TrialFolder(tmp_path).lock(said):
            entered.set()

    thread = threading.Thread(target=enter)
    thread.start()
    assert said.spoken.wait(30)
    assert f"process {holder} on " in said.lines[0]
    os.kill(holder, signal.SIGSTOP)  # a stopped process still holds the lock
    assert not entered.wait(0.3)
    os.kill(holder, signal.SIGKILL)  # a dead process does not
    assert was_killed(holder)
    assert entered.wait(30)
    thread.join()


def test_lock_is_released_after_an_error(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(RuntimeError), TrialFolder(tmp_path / "trial").lock(Quiet()):
            raise RuntimeError


def test_unwritable_folder_error_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DpbenchError, match="cannot lock"), TrialFolder(tmp_path / "file" / "trial").lock(Quiet()):
        pass


def test_trial_started_twice_runs_once(tiny: Path) -> None:
    """Regression test: both processes released a model, only one was counted, and the row mixed both."""
    fitted, has_fitted = os.pipe()
    finish, may_finish = os.pipe()

    class Slow(fakes.FakeAlone):
        def fit(self, private, run):
            super().fit(private, run)
            os.write(has_fitted, b"!")
            os.read(finish, 1)

    METHODS.register("slow")(Slow)

    def run(date: Path) -> None:
        rows = dpbench.run(
            "slow", "tiny", [1.0], delta=1e-6, samples=10, metrics=["brightness"], references=(), device="cpu", out=tiny
        )
        date.write_text(rows["date"].item(), encoding="utf-8")

    dates = [tiny.parent / "first", tiny.parent / "second"]
    first = in_a_child(partial(run, dates[0]))
    os.close(has_fitted)
    assert os.read(fitted, 1)
    second = in_a_child(partial(run, dates[1]))
    os.write(may_finish, b"!!")
    assert not any(map(was_killed, (first, second)))
    assert dates[0].read_text() == dates[1].read_text()  # the second process used the row of the first and did not fit
    [ledger] = tiny.rglob("ledger.json")
    assert ledger.read_text().count('"releases_spent": 1') == 1
    [record] = tiny.parent.rglob("*.jsonl")
    assert len(record.read_text().splitlines()) == 1
