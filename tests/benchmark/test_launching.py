"""What a launcher is given: which tasks, in which order; and that a task can be run from its JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from record import recorded

from dpbench import RunRequest
from dpbench.benchmark import launching
from dpbench.benchmark.commands.running import run_request
from dpbench.benchmark.launching import Outcome, Waves
from dpbench.benchmark.processes import Processes
from dpbench.benchmark.session import Session
from dpbench.benchmark.trials.schedule import plan_trials
from dpbench.benchmark.trials.trial_task import TrialTask
from dpbench.core.errors import DpbenchError
from dpbench.privacy.world import World


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[list[TrialTask]]:
    """The waves that a launcher gets, which sends each task as JSON to itself and runs it."""
    given: list[list[TrialTask]] = []

    def launch(waves: Waves, session: Session) -> Iterator[Outcome]:
        given.extend(map(list, waves))
        launching.clear_forced(waves, session)
        for task in (task for wave in waves for task in wave):
            read = TrialTask.from_json(json.loads(json.dumps(task.as_json())))
            assert read.trial.key == task.trial.key
            with Session.open(read.request) as other:
                yield Outcome(task, acted=read.run(other, ["brightness"]))

    monkeypatch.setattr(launching, "_launcher", lambda name: SimpleNamespace(launch=launch))
    return given


def request(out: Path, *methods: str, **options: Any) -> RunRequest:
    defaults = {
        "methods": methods or "fake", "dataset": "tiny", "public": "tiny-public", "samples": 10, "delta": 1e-6,
        "metrics": ["brightness"], "references": (), "device": "cpu", "launcher": "local", "out": out,
    }  # fmt: skip
    return RunRequest(**defaults | options)


def run(out: Path, *methods: str, **options: Any) -> Any:
    return run_request(request(out, *methods, **options)).rows


def test_shared_public_training_comes_first(tiny: Path, given: list[list[TrialTask]]) -> None:
    rows = run(tiny, "fake", "fake[spread=6]", "alone", seeds=2, references=["public"])
    assert len(rows) == 2 * 4 + 2
    public, trials = given
    assert [str(task) for task in public] == [
        "[1/10, public] public training of fake", "[5/10, public] public training of fake [spread=6.0]",
    ]  # fmt: skip
    assert [task.number for task in trials] == list(range(1, 11))
    assert len(recorded()) == 6


def test_a_trial_of_its_own_makes_its_public_training_itself(tiny: Path, given: list[list[TrialTask]]) -> None:
    run(tiny, "fake", "fake[spread=6]")
    assert [[task.public for task in wave] for wave in given] == [[False, False]]


def test_finished_trials_are_not_launched(tiny: Path, given: list[list[TrialTask]]) -> None:
    run(tiny)
    assert len(run(tiny, seeds=2)) == 2
    assert [[task.number for task in wave] for wave in given] == [[1], [2]]
    run(tiny, seeds=2)
    assert len(given) == 2


def test_forced_trials_run_again_once(tiny: Path, given: list[list[TrialTask]]) -> None:
    run(tiny)
    run(tiny, force=True)
    assert len(recorded()) == 2
    ((task,),) = given[1:]
    repeated = TrialTask.from_json(task.as_json())
    with Session.open(repeated.request) as session:
        assert not repeated.run(session, ["brightness"])  # a node that was lost after it had finished
    assert len(recorded()) == 2


def test_forced_trials_share_their_public_training(tiny: Path, given: list[list[TrialTask]]) -> None:
    run(tiny, seeds=2)
    run(tiny, seeds=2, force=True)
    assert [[task.public for task in wave] for wave in given] == 2 * [[True], [False, False]]


@pytest.mark.parametrize(
    ("options", "device", "message"),
    [
        ({"launcher": "ray"}, "cpu", "ray is not installed"),
        ({"launcher": "slurm"}, "cpu", "submitit is not installed"),
        ({"launcher": "local"}, "cuda:0", "workers choose their GPUs themselves"),
        ({"launcher": "none", "gpus": 99}, "cuda", "--gpus 99, but this machine has"),
    ],
    ids=["ray", "slurm", "local", "gpus"],
)
def test_a_launcher_that_cannot_start_removes_no_forced_trial(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], device: str, message: str
) -> None:
    for package in ("ray", "submitit"):
        monkeypatch.setitem(sys.modules, package, None)
    run(tiny, launcher="none")
    before = {path: path.read_bytes() for path in tiny.rglob("*") if path.is_file()}
    asked = request(tiny, force=True, **options)
    with Session.open(asked) as session:
        tasks = [TrialTask(asked, trial) for trial in plan_trials(session)]
        object.__setattr__(session, "processes", Processes(device))
        with pytest.raises(DpbenchError, match=message):
            next(launching.launch(tasks, session))
        with pytest.raises(DpbenchError, match=message):
            launching.check_launcher(tasks, session)
        launching.check_launcher([], session)
    assert {path: path.read_bytes() for path in tiny.rglob("*") if path.is_file()} == before


def test_a_task_is_refused_that_is_not_whole(tiny: Path) -> None:
    asked = request(tiny)
    with Session.open(asked) as session:
        content = TrialTask(asked, *plan_trials(session)).as_json()
    for broken in ({}, {"request": content["request"]}, content | {"color": 1}):
        with pytest.raises(DpbenchError, match="this is not a trial to run"):
            TrialTask.from_json(broken)
    with pytest.raises(DpbenchError, match="unknown method 'gone'"):
        TrialTask.from_json(content | {"trial": content["trial"] | {"method": "gone"}})


def test_launchers_are_refused_below_torchrun(tiny: Path) -> None:
    asked = request(tiny)
    with Session.open(asked) as session:
        object.__setattr__(session, "processes", Processes("cpu", World(0, 2)))
        with pytest.raises(DpbenchError, match="--launcher local starts processes itself: run the command without"):
            next(launching.launch([], session))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"launcher": "slrum"}, "unknown launcher 'slrum'; did you mean slurm"),
        ({"launcher": "none", "workers": 2}, "--workers needs --launcher local, ray or slurm"),
        ({"workers": 0}, "--workers must be at least 1, not 0"),
        ({"gpus": 0}, "--gpus must be at least 1, not 0"),
        ({"job": {"num_cpus": 4}}, "--job sets the resources of a trial"),
    ],
)
def test_requests_that_no_launcher_can_serve(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DpbenchError, match=message):
        RunRequest(**{"launcher": "local"} | options)
