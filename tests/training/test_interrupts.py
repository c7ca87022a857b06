"""Ctrl-C and SIGTERM in training: the step is finished and the state stored before they end the program."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
import torch
from counted import STEPS, Counted

from dpbench.training.interrupts import Interrupts


class Stopped(Exception):
    pass


def stop(*_: object) -> None:
    raise Stopped


@pytest.fixture
def terminated_by_exception():
    usual = signal.signal(signal.SIGTERM, stop)
    yield
    signal.signal(signal.SIGTERM, usual)


class Interrupted(Counted):
    """Training that gets signals in the middle of a step."""

    signals: tuple[signal.Signals, ...] = (signal.SIGINT,)
    at = 7

    def loss(self) -> torch.Tensor:
        loss = super().loss()
        if self.calls == self.at:
            for number in self.signals:
                signal.raise_signal(number)
        return loss


class Terminated(Interrupted):
    signals = (signal.SIGTERM,)


class Twice(Interrupted):
    signals = (signal.SIGINT, signal.SIGINT)


@pytest.mark.parametrize(("kind", "ends_by"), [(Interrupted, KeyboardInterrupt), (Terminated, Stopped)])
def test_an_interruption_in_a_step_stores_the_state_after_it(terminated_by_exception, tmp_path, kind, ends_by):
    with pytest.raises(ends_by):
        kind(tmp_path)
    rest = Counted(tmp_path)
    assert rest.calls == STEPS - kind.at
    assert torch.equal(rest.weights(), Counted(None).weights())


def test_a_second_interruption_ends_the_step_itself_and_stores_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        Twice(tmp_path)
    assert not list(tmp_path.rglob("*.pt"))


def test_an_interruption_in_the_last_step_is_not_lost(tmp_path):
    class AtTheEnd(Interrupted):
        at = STEPS

    with pytest.raises(KeyboardInterrupt):
        AtTheEnd(tmp_path)
    assert Counted(tmp_path).calls == 0


def test_training_that_goes_on_after_a_signal_takes_all_its_steps(tmp_path):
    heard = []
    usual = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        trained = Terminated(tmp_path)
        assert signal.getsignal(signal.SIGTERM) is not usual
    finally:
        signal.signal(signal.SIGTERM, usual)
    assert heard == [signal.SIGTERM]
    assert trained.calls == STEPS
    assert torch.equal(trained.weights(), Counted(None).weights())


def test_handlers_are_the_usual_ones_afterwards_and_ignored_signals_stay_ignored():
    usual = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    before = signal.getsignal(signal.SIGINT)
    try:
        with Interrupts():
            assert signal.getsignal(signal.SIGINT) is not before
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        signal.signal(signal.SIGTERM, usual)


def test_training_works_in_another_thread(tmp_path):
    trained = []
    thread = threading.Thread(target=lambda: trained.append(Counted(tmp_path).calls))
    thread.start()
    thread.join()
    assert trained == [STEPS]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forked workers here")
def test_a_forked_worker_ends_at_once():
    ready, started = os.pipe()
    with Interrupts():
        child = os.fork()
        if child == 0:
            os.write(started, b"!")
            time.sleep(60)
            os._exit(1)
        os.read(ready, 1)  # a signal that arrives before Python runs in the child is lost
        os.kill(child, signal.SIGTERM)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGTERM
