"""Trials as jobs of SLURM, submitted in arrays by submitit."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from dpbench.benchmark.launchers.elsewhere import job_options, run_here
from dpbench.benchmark.launchers.progress_events import ShownEvents
from dpbench.benchmark.launchers.tally import Tally
from dpbench.benchmark.launching import Outcome, Waves, clear_forced, outcome_of
from dpbench.benchmark.session import Session
from dpbench.benchmark.trials.trial_task import TrialTask
from dpbench.core.errors import DpbenchError, reason
from dpbench.core.extras import import_extra

EXECUTOR = "slurm"
"""The executor of submitit; "local" runs jobs as processes of this machine."""

FOLDER = "slurm"
"""Folder of submitted jobs, their logs and their progress, in the folder of results."""

MINUTES = 24 * 60
"""Time limit of a job, unless `job` sets timeout_min. A job that reaches it is requeued, and continues."""

POLL = 1.0
"""Seconds between two polls."""


def check(waves: Waves, session: Session) -> None:
    """Checks that this machine has SLURM, and that submitit knows the options in `job`."""
    _executor(session)


def launch(waves: Waves, session: Session) -> Iterator[Outcome]:
    """Runs tasks, each wave as one array of jobs.

    A job that is preempted, or reaches its time limit, is requeued and continues from its checkpoint. When the iterator
    is closed, jobs that have not ended are cancelled.

    Raises:
        DpbenchError: this machine has no SLURM, or SLURM rejects the jobs.
    """
    folder, tally = _folder(session), Tally(waves)
    executor = _executor(session)
    clear_forced(waves, session)
    with session.display.overview(tally.line):
        for wave in waves:
            jobs = _submit(wave, executor, folder, session)
            try:
                while jobs:
                    time.sleep(POLL)
                    for job in [job for job in jobs if job.has_ended()]:
                        jobs.remove(job)
                        yield tally.add(job.outcome())
            finally:
                for job in jobs:
                    job.cancel()


def _folder(session: Session) -> Path:
    return session.out.absolute() / FOLDER


def _executor(session: Session) -> Any:
    """The executor that submits the jobs of a session."""
    submitit, request = import_extra("submitit", "slurm"), session.request
    logging.getLogger("submitit").setLevel(logging.ERROR)  # without SLURM accounting, it warns at every poll
    try:
        executor = submitit.AutoExecutor(_folder(session) / "%j", cluster=EXECUTOR)
    except RuntimeError as error:
        raise DpbenchError("this machine has no SLURM (srun is not found); --launcher local needs none") from error
    options: dict[str, Any] = {"name": "dpbench", "timeout_min": MINUTES, "cpus_per_task": request.gpus}
    if request.device.startswith("cuda"):
        options["gpus_per_node"] = request.gpus
    if request.workers is not None:
        options["slurm_array_parallelism"] = request.workers
    try:
        executor.update_parameters(**(options | job_options(request.job)))
    except (NameError, TypeError, AssertionError) as error:
        raise DpbenchError(f"--job: {' '.join(str(error).split())}") from error
    return executor


def _submit(wave: Sequence[TrialTask], executor: Any, folder: Path, session: Session) -> list[_Job]:
    from submitit.core.utils import FailedJobError

    files = [folder / "progress" / f"{uuid4().hex}.jsonl" for _ in wave]
    pairs = list(zip(wave, files, strict=True))
    try:
        with executor.batch():
            submitted = [executor.submit(TrialJob(), task.as_json(), path) for task, path in pairs]
    except FailedJobError as error:
        raise DpbenchError(f"SLURM rejects the jobs; is an option in --job wrong? {reason(error)}") from error
    shown = [ShownEvents(session.display) for _ in wave]
    return [_Job(*parts) for parts in zip(wave, submitted, files, shown, strict=True)]


class TrialJob:
    """The function of a job. submitit stores it, and calls it on the machine that SLURM chose."""

    def __call__(self, content: Mapping[str, Any], progress: Path) -> dict[str, Any]:
        """Runs a task; see `elsewhere.run_here`.

        Args:
            content: the content of the task.
            progress: file to which events are added.
        """
        progress.parent.mkdir(parents=True, exist_ok=True)
        with progress.open("ab", buffering=0) as file:

            def send(event: dict[str, Any]) -> None:
                with suppress(OSError):  # a full disk costs the progress, not the trial
                    file.write(json.dumps(event).encode() + b"\n")

            return run_here(content, send)

    def checkpoint(self, content: Mapping[str, Any], progress: Path) -> Any:
        """The job that submitit queues to replace one that is preempted or reaches its time limit: the same again."""
        import submitit

        return submitit.helpers.DelayedSubmission(self, content, progress)


class _Job:
    """A job, seen from the process that submitted it.

    Args:
        task: the task that it runs.
        job: the job of submitit.
        progress: file of its events.
        shown: shows the events.
    """

    def __init__(self, task: TrialTask, job: Any, progress: Path, shown: ShownEvents):
        self._task, self._job, self._progress, self._shown = task, job, progress, shown
        self._read = 0

    def has_ended(self) -> bool:
        """Whether it has ended; shows the events since the last poll."""
        ended = self._job.done()
        with suppress(FileNotFoundError), self._progress.open("rb") as file:  # absent before the job starts
            file.seek(self._read)
            whole = file.read().rpartition(b"\n")[0]
            for line in filter(None, whole.split(b"\n")):
                with suppress(ValueError):  # a line that a killed job left unfinished, and the next job's behind it
                    self._shown.show(json.loads(line))
            self._read += len(whole) + bool(whole)
        return ended

    def outcome(self) -> Outcome:
        """How it ended."""
        self._shown.end()
        try:
            return outcome_of(self._task, self._job.result())
        except Exception:  # submitit's own, or the job's, which is in its log
            ending = f"job {self._job.job_id} ended as {self._job.state}; its log is {self._job.paths.stderr}"
            return Outcome(self._task, DpbenchError(f"{self._task.trial} failed: {ending}"))

    def cancel(self) -> None:
        """Removes it from the queue, or interrupts it."""
        self._job.cancel(check=False)
