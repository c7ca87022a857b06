"""Ctrl-C and SIGTERM end a command with one line and a code of their own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import events
import fakes
import pytest
from calling import run

from dpbench import METHODS
from dpbench.cli.stopping import Terminated, sigterm_like_ctrl_c


class Killed(fakes.FakeMean):
    """Gets SIGTERM while it learns, the first time."""

    def fit(self, private, run) -> None:
        super().fit(private, run)
        if events.EVENTS.count("fit") == 1:
            os.kill(os.getpid(), signal.SIGTERM)


def test_sigterm_ends_a_run_that_the_same_command_continues(tiny: Path) -> None:
    METHODS.register("killed")(Killed)
    result = run(tiny, method="killed,fake")
    assert result.exit_code == 143
    line = f"stopped by SIGTERM; finished trials are kept in {tiny}; the same command continues"
    assert result.stderr.splitlines()[-1] == line
    assert events.EVENTS.count("fit") == 1
    assert run(tiny, method="killed,fake").exit_code == 0
    assert len(list(tiny.rglob("trial.json"))) == 2


def test_sigterm_is_restored_and_left_alone_where_a_program_handles_it() -> None:
    usual = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated), sigterm_like_ctrl_c():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is usual is signal.SIG_DFL
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with sigterm_like_ctrl_c():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, usual)


def test_sigterm_ends_a_forked_worker_as_usual() -> None:
    with sigterm_like_ctrl_c():
        worker = os.fork()
        if not worker:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == -signal.SIGTERM
