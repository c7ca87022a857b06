"""Running the trials of a command: a launcher takes tasks and yields outcomes as they finish."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from dpbench.benchmark.session import Session
from dpbench.benchmark.trials.trial_task import TrialTask
from dpbench.core.config import as_settings
from dpbench.core.errors import DpbenchError, RunError
from dpbench.core.files import digest


class Outcome(NamedTuple):
    """How a task ended.

    Attributes:
        task: the task.
        error: the error, if any; a `RunError` if further tasks would fail in the same way.
        acted: whether anything was left to do.
    """

    task: TrialTask
    error: DpbenchError | None = None
    acted: bool = True


def ending(error: DpbenchError | None, acted: bool) -> dict[str, Any]:
    """How a task ended, as JSON-like values, which `outcome_of` reads in another process."""
    return {"error": error and str(error), "ends_run": isinstance(error, RunError), "acted": acted}


def outcome_of(task: TrialTask, ended: Mapping[str, Any]) -> Outcome:
    """The outcome of a task, from the values of `ending`."""
    if ended["error"] is None:
        return Outcome(task, acted=ended["acted"])
    return Outcome(task, (RunError if ended["ends_run"] else DpbenchError)(ended["error"]))


Waves = Sequence[Sequence[TrialTask]]
"""Waves of tasks that may run in parallel; a wave starts when all tasks of the one before have ended."""


class Launcher(Protocol):
    """A module of `dpbench.benchmark.launchers`."""

    def check(self, waves: Waves, session: Session) -> None:
        """Checks that tasks can be started, as far as that is known without starting anything.

        Raises:
            DpbenchError: something that the launcher needs is missing.
        """
        ...

    def launch(self, waves: Waves, session: Session) -> Iterator[Outcome]:
        """Runs tasks, and yields the outcome of each when it ends. Closing the iterator ends running tasks.

        It first checks that it can start tasks, then calls `clear_forced`, and then starts the first task.

        Raises:
            DpbenchError: as `check`.
        """
        ...


def launch(tasks: Sequence[TrialTask], session: Session) -> Generator[Outcome, None, None]:
    """Runs tasks as the session's request says. Outcomes come as tasks end, in any order.

    If tasks run in their own processes, public training that several trials share runs first, and only once.

    Raises:
        DpbenchError: something that the launcher needs is missing.
    """
    launcher, waves = _arranged(tasks, session)
    if waves:
        yield from launcher.launch(waves, session)


def check_launcher(tasks: Sequence[TrialTask], session: Session) -> None:
    """Checks what `launch` needs to start, without starting anything.

    Raises:
        DpbenchError: as `launch`.
    """
    launcher, waves = _arranged(tasks, session)
    if waves:
        launcher.check(waves, session)


def _arranged(tasks: Sequence[TrialTask], session: Session) -> tuple[Launcher, list[Sequence[TrialTask]]]:
    """The launcher of a session's request, and the waves to give it; no waves if nothing is left to do."""
    request, is_one_of_several = session.request, session.processes.world.size > 1
    if request.launcher != "none" and is_one_of_several:
        raise DpbenchError(f"--launcher {request.launcher} starts processes itself: run the command without torchrun")
    if request.launcher == "none" and (request.gpus == 1 or is_one_of_several):
        return _launcher("none"), [tasks] if tasks else []
    waves = [wave for wave in (shared_public_training(tasks, session), tasks) if wave]
    return _launcher("local" if request.launcher == "none" else request.launcher), waves


def _launcher(name: str) -> Launcher:
    launcher: Any = import_module(f"dpbench.benchmark.launchers.{name}")
    return launcher


def clear_forced(waves: Waves, session: Session) -> None:
    """With `force`, removes the files of all trials, so that they run again.

    The process of a task leaves them alone, because it may be started twice. A launcher that cannot start any task must
    not call this: the finished trials are then kept.
    """
    if not session.request.force:
        return
    for task in (task for wave in waves for task in wave):
        folder = task.trial.folder(session.out)
        if folder.path.exists():
            with folder.lock(session.display):
                folder.clear()


def shared_public_training(tasks: Sequence[TrialTask], session: Session) -> list[TrialTask]:
    """The public training of each configuration that several trials share, of those that will be trained."""
    shared: dict[str, list[TrialTask]] = {}
    for task in tasks:
        trial = task.trial
        is_trained = session.request.force or not trial.folder(session.out).is_sampled
        if trial.public is not None and is_trained:
            same = digest([trial.method, as_settings(trial.config), trial.public, trial.spec.shape, trial.pretrained])
            shared.setdefault(same, []).append(task)
    return [replace(first, public=True) for first, *others in shared.values() if others]
