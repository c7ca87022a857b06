"""The loop of a worker: it reads tasks, runs them one after the other, and writes events."""

from __future__ import annotations

import json
import os
import queue
import signal
import threading
from typing import Any, TextIO

from dpbench.benchmark.launchers.progress_events import SentDisplay
from dpbench.benchmark.launching import ending
from dpbench.benchmark.request import RunRequest
from dpbench.benchmark.session import Session
from dpbench.benchmark.trials.scoring import chosen_metrics
from dpbench.benchmark.trials.trial_task import TrialTask
from dpbench.core.errors import UNFINISHED, DpbenchError


def work(request: RunRequest, tasks: int, events: TextIO) -> int:
    """Runs tasks of a request until there are no more; the processes that torchrun started work on each one together.

    If the stream of tasks ends while a task is running, the process that wanted the task has ended or gives up. The
    task then stops as by SIGTERM, which stores a checkpoint.

    Args:
        request: the request; its plugins are loaded.
        tasks: file descriptor from which rank zero reads tasks, each a line of JSON; see `TrialTask.as_json`.
        events: file to which rank zero writes events, each a line of JSON: progress, "ready" once, and "ended" after
            each task.

    Returns:
        the exit code: 3 after a failure after which this process must not continue, else 0.
    """
    lock = threading.Lock()

    def send(event: dict[str, Any]) -> None:
        with lock:
            events.write(json.dumps(event) + "\n")
            events.flush()

    with Session.open(request, SentDisplay(send), writes=True, distributed=True) as session:
        metrics = chosen_metrics(request)
        is_rank_zero = session.processes.is_rank_zero
        inbox = _Inbox(tasks) if is_rank_zero else None
        if is_rank_zero:
            send({"what": "ready"})
        while (content := session.processes.broadcast(inbox.next() if inbox else None)) is not None:
            error, acted = None, True
            try:
                acted = TrialTask.from_json(content, request).run(session, metrics)
            except DpbenchError as failure:
                error = failure
            ended = ending(error, acted)
            is_last = ended["ends_run"] or (error is not None and session.processes.world.size > 1)
            if inbox:
                inbox.is_busy = False
                send({"what": "ended", **ended, "is_last": is_last})
            if is_last:
                return UNFINISHED
    return 0


class _Inbox:
    """The tasks that a worker reads.

    Args:
        source: file descriptor. It is read without Python's buffers: a thread would hold their locks at process exit.
    """

    def __init__(self, source: int):
        self.is_busy = False
        self._contents: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(source,), daemon=True).start()

    def next(self) -> Any:
        """Waits for the next task and returns its content; None at the end."""
        content = self._contents.get()
        self.is_busy = content is not None
        return content

    def _read(self, source: int) -> None:
        rest = b""
        while block := os.read(source, 1 << 16):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                self._contents.put(json.loads(line))
        if self.is_busy:
            os.kill(os.getpid(), signal.SIGTERM)
        self._contents.put(None)
