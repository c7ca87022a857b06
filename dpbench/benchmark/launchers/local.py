"""Worker processes on this machine, each with its own GPUs or its share of the CPU threads."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from queue import SimpleQueue

from dpbench.benchmark.launchers.placement import Place, places
from dpbench.benchmark.launchers.tally import Tally
from dpbench.benchmark.launchers.worker_process import Worker
from dpbench.benchmark.launching import Outcome, Waves, clear_forced
from dpbench.benchmark.session import Session
from dpbench.benchmark.trials.trial_task import TrialTask


def check(waves: Waves, session: Session) -> None:
    """Checks that there is a place for every worker."""
    _places(waves, session)


def launch(waves: Waves, session: Session) -> Iterator[Outcome]:
    """Runs tasks. If a worker is killed, its task fails, and the next task gets a new process.

    When the iterator is closed, running tasks store a checkpoint and end.
    """
    found = _places(waves, session)
    clear_forced(waves, session)
    workers = [Worker(session.request, session.display, place) for place in found]
    free: SimpleQueue[Worker] = SimpleQueue()
    for worker in workers:
        free.put(worker)

    def run(task: TrialTask) -> Outcome:
        worker = free.get()
        session.display.say(str(task))
        try:
            return worker.run(task)
        finally:
            free.put(worker)

    tally, threads = Tally(waves), ThreadPoolExecutor(len(workers))
    try:
        with session.display.overview(tally.line):
            for wave in waves:
                for ended in as_completed([threads.submit(run, task) for task in wave]):
                    yield tally.add(ended.result())
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.wait()


def _places(waves: Waves, session: Session) -> list[Place]:
    return places(session.request, session.device, max(map(len, waves)))
