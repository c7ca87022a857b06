"""Trials side by side in worker processes: the same rows, and nothing lost when one is killed or stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from recipes import check_ledgers, options, run
from record import recorded
from tiny_wavelet import TINY

from dpbench import RunRequest
from dpbench.benchmark.failures import TrialsFailed
from dpbench.benchmark.launchers import local, worker_process
from dpbench.benchmark.launchers.local import launch
from dpbench.benchmark.launchers.worker_process import Worker
from dpbench.benchmark.session import Session
from dpbench.benchmark.trials.schedule import plan_trials
from dpbench.benchmark.trials.trial_task import TrialTask
from dpbench.core.errors import RunError
from dpbench.core.progress import Advance, Quiet
from dpbench.core.progress_lines import ProgressLines


def test_two_workers_make_the_rows_of_one_process(out: Path) -> None:
    """A failure does not end the others; public training takes place once, before everything else."""
    lines: list[str] = []
    methods = ["fake[spread=6]", "fake[fail=crash]", "wavelet"]
    settings = {f"wavelet:{key}": value for key, value in TINY.items()}
    changes = {"methods": methods, "settings": settings, "epsilons": [1, 2], "launcher": "local", "workers": 2}
    with pytest.raises(TrialsFailed, match="2 of 6 trials failed") as caught:
        run(out, display=ProgressLines(lines.append), **changes)
    rows = caught.value.finished.rows
    assert rows["method"].tolist() == ["fake", "fake", "wavelet", "wavelet"]
    assert rows["epsilon"].tolist() == [1, 2, 1, 2]
    assert all("RuntimeError: it broke" in str(failure) for failure in caught.value.failures)
    check_ledgers(out, 4)
    assert len(recorded()) == 6
    started = [line.split("]")[0] for line in lines if line.startswith("[")]
    assert [name.endswith(", public") for name in started] == 3 * [True] + 6 * [False]
    assert sum("pretrain the token model" in line for line in lines) == 1
    assert any(line.startswith("  [6/6] finetune the token model (private): 4 in ") for line in lines)

    with pytest.raises(TrialsFailed, match="2 of 6"):  # in this process, which finds what the workers finished
        run(out, **changes | {"launcher": "none", "workers": None})
    assert len(recorded()) == 6


def test_worker_whose_process_ends_as_it_is_stopped_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[bool] = []
    process = SimpleNamespace(stop=lambda: stopped.append(True))
    worker = Worker(RunRequest(), Quiet(), {})
    seen = iter([process])  # and None from then on
    monkeypatch.setattr(Worker, "_process", property(lambda _: next(seen, None)), raising=False)
    worker.stop()
    assert stopped == [True]


def test_killed_worker_loses_one_attempt_and_nothing_else(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "places", lambda *_: [{"DPBENCH_KILL": "8"}])  # in the second trial of the only worker
    with pytest.raises(TrialsFailed, match="1 of 2 trials failed") as caught:
        run(out, seeds=2, launcher="local", workers=1)
    (failure,) = map(str, caught.value.failures)
    assert "ε=1 seed 1: its process was killed (SIGKILL); the same command continues it" in failure
    assert caught.value.finished.rows["seed"].tolist() == [0]
    assert len(list(out.rglob("checkpoints/fit/*.pt"))) == 1
    assert run(out, seeds=2)["seed"].tolist() == [0, 1]
    check_ledgers(out, 2)
    assert len(recorded()) == 2


def test_stopped_run_stores_checkpoints_and_leaves_no_process(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    usual = worker_process.subprocess.Popen

    def start(*arguments: object, **values: object) -> object:
        process = usual(*arguments, **values)
        started.append(process.pid)
        return process

    monkeypatch.setattr(worker_process.subprocess, "Popen", start)
    long = options(out, settings=TINY | {"steps": 100_000}, launcher="local", workers=1)
    request = RunRequest(**long)
    request.load_plugins()
    display = Steps()
    with Session.open(request, display) as session:
        task = TrialTask(request, *plan_trials(session))
        with closing(launch([[task]], session)) as outcomes:
            signal.signal(signal.SIGALRM, display.interrupt)
            signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
            with pytest.raises(KeyboardInterrupt):
                next(outcomes)
    assert len(started) == 1
    with pytest.raises(ProcessLookupError):
        os.killpg(started[0], 0)
    assert "interrupted" in next(out.rglob("log.txt")).read_text().splitlines()[-1]
    assert list(out.rglob("checkpoints/fit/*.pt"))


class Steps(Quiet):
    """A display that counts private steps, and raises KeyboardInterrupt in the main thread after the first."""

    count = 0

    @contextmanager
    def phase(self, name: str, total: int) -> Iterator[Advance]:
        def advance(steps: int = 1, note: str = "") -> None:
            self.count += steps * ("finetune" in name)

        yield advance

    def interrupt(self, *_: object) -> None:
        if self.count:
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt


def test_workers_that_cannot_start_end_the_run(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process.sys, "executable", "/bin/false")
    with pytest.raises(RunError, match="no worker can start, it ended with exit code 1"):
        run(out, seeds=3, launcher="local", workers=1)
    assert recorded() == []
