"""A worker, seen from the process that starts it and sends it tasks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any

from dpbench.benchmark.experiment import as_experiment
from dpbench.benchmark.launchers.placement import Place
from dpbench.benchmark.launchers.progress_events import ShownEvents
from dpbench.benchmark.launching import Outcome, outcome_of
from dpbench.benchmark.request import RunRequest
from dpbench.benchmark.trials.trial_task import TrialTask
from dpbench.core.errors import DpbenchError, RunError
from dpbench.core.progress import Display

PATIENCE = 120.0
"""Seconds that a worker has to store a checkpoint before it is killed."""


class WorkerLost(DpbenchError):
    """A worker's process ended before its task did. The task can be run again, and continues."""


class Worker:
    """Runs one task at a time, in a process that stays alive for the next one; see `worker_loop`.

    Args:
        request: the request of all tasks.
        display: where progress shows.
        place: where the process computes.
    """

    def __init__(self, request: RunRequest, display: Display, place: Place):
        self._display, self._place = display, place
        self._command = [sys.executable, "-m", "dpbench", "worker", json.dumps(as_experiment([request]))]
        self._process: _Process | None = None
        self._is_stopped = False
        self._starting = threading.Lock()

    def run(self, task: TrialTask) -> Outcome:
        """Runs a task, in a new process if there is none."""
        with self._starting:  # no process starts after `stop`
            if self._is_stopped:
                return Outcome(task, RunError(f"{task} was not started"))
            if self._process is None:
                self._process = _Process(self._command, self._place, self._display)
        process = self._process
        shown = ShownEvents(self._display, f"{task.name} ")
        process.write(task.as_json())
        for event in process.events():
            if event["what"] == "ended":
                shown.end()
                if event["is_last"]:
                    self._end(process)
                return outcome_of(task, event)
            shown.show(event)
        shown.end()
        outcome = Outcome(task, process.death(task))
        self._process = None
        return outcome

    def stop(self) -> None:
        """Lets a running task store a checkpoint and end; no task can run afterwards."""
        with self._starting:
            self._is_stopped = True
            if process := self._process:  # read once: `run` forgets a process that has ended
                process.stop()

    def wait(self) -> None:
        """Waits for a stopped process to end."""
        if process := self._process:
            process.wait()

    def _end(self, process: _Process) -> None:
        process.wait()
        self._process = None


class _Process:
    """The process of a worker, in its own session, so that Ctrl-C in the terminal does not reach it."""

    def __init__(self, command: list[str], place: Place, display: Display):
        self._process = subprocess.Popen(
            command, env=os.environ | place, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, encoding="utf-8", errors="replace", start_new_session=True,
        )  # fmt: skip
        self._display = display
        self._is_ready = self._is_stopped = False
        self._last_line = ""
        self._complaints = threading.Thread(target=self._show_complaints, daemon=True)
        self._complaints.start()

    def write(self, content: dict[str, Any]) -> None:
        """Sends the process a task."""
        with suppress(OSError, ValueError):  # it has ended, and so do its events
            self._stdin.write(json.dumps(content) + "\n")
            self._stdin.flush()

    def events(self) -> Iterator[dict[str, Any]]:
        """Its events, until it ends; "ready" is noted."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            if event["what"] == "ready":
                self._is_ready = True
            else:
                yield event

    def death(self, task: TrialTask) -> DpbenchError:
        """The error of a task whose process has ended."""
        code = self._process.wait()
        self._complaints.join()
        ending = f"was killed ({signal.Signals(-code).name})" if code < 0 else f"ended with exit code {code}"
        if not self._is_ready:
            return RunError(f"no worker can start, it {ending}: {self._last_line.removeprefix('error: ')}")
        return WorkerLost(f"{task.trial} failed: its process {ending}; the same command continues it")

    def stop(self) -> None:
        """Closes its stream of tasks, which stops the worker."""
        self._is_stopped = True
        with suppress(OSError):  # it has ended
            self._stdin.close()

    def wait(self) -> None:
        """Waits until it ends, and kills it if that takes too long."""
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    @property
    def _stdin(self) -> IO[str]:
        assert self._process.stdin is not None
        return self._process.stdin

    def _show_complaints(self) -> None:
        """Shows its warnings and errors."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if line.strip() and not self._is_stopped:
                self._last_line = line.strip()
                self._display.say(f"  {self._last_line}")
