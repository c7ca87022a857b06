"""Trials as tasks of a Ray cluster."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from typing import Any

from dpbench.benchmark.launchers.elsewhere import folders, job_options, run_here
from dpbench.benchmark.launchers.progress_events import ShownEvents
from dpbench.benchmark.launchers.tally import Tally
from dpbench.benchmark.launchers.worker_process import PATIENCE
from dpbench.benchmark.launching import Outcome, Waves, clear_forced, outcome_of
from dpbench.benchmark.request import RunRequest
from dpbench.benchmark.session import Session
from dpbench.benchmark.trials.trial_task import TrialTask
from dpbench.core.errors import DpbenchError, reason
from dpbench.core.extras import import_extra

RETRIES = 3
"""How often a task is run again after it was lost with its process or machine."""

POLL = 0.3
"""Seconds between two polls."""


def check(waves: Waves, session: Session) -> None:
    """Checks that Ray is installed, and knows the options in `job`; no cluster is started or asked."""
    _remote(import_extra("ray", "ray"), session.request, session.request.gpus)


def launch(waves: Waves, session: Session) -> Iterator[Outcome]:
    """Runs tasks on the cluster that RAY_ADDRESS names, on the one that runs on this machine, or else on a new one.

    Each task has as many CPUs as processes and `gpus` GPUs if there are any, unless `job` says otherwise. A task whose
    process or machine is lost runs again, and continues from its checkpoint. When the iterator is closed, running tasks
    store a checkpoint and end.

    Raises:
        DpbenchError: Ray is not installed, or does not know an option in `job`.
    """
    ray, tally = import_extra("ray", "ray"), Tally(waves)
    with ExitStack() as cleanup:
        if not ray.is_initialized():
            ray.init(log_to_driver=False, logging_level="error")
            cleanup.callback(ray.shutdown)
        cluster = _Cluster(ray, session)
        cleanup.callback(cluster.cancel)
        clear_forced(waves, session)
        with session.display.overview(tally.line):
            for wave in waves:
                waiting = deque(wave)
                while waiting or cluster.running:
                    while waiting and cluster.has_room:
                        cluster.start(waiting.popleft())
                    for outcome in cluster.ended():
                        yield tally.add(outcome)


class _Cluster:
    """The tasks that run on a cluster.

    Args:
        ray: the module.
        session: gives the request and the display.

    Attributes:
        running: reference of the result -> task.

    Raises:
        DpbenchError: an option in `job` is wrong.
    """

    def __init__(self, ray: Any, session: Session):
        from ray.util.queue import Queue

        request = session.request
        gpus = request.gpus if request.device != "cpu" and ray.cluster_resources().get("GPU") else 0
        self.running: dict[Any, TrialTask] = {}
        self._ray, self._most = ray, request.workers
        self._run = _remote(ray, request, gpus)
        self._events = Queue(actor_options={"num_cpus": 0})
        self._shown: dict[str, ShownEvents] = defaultdict(lambda: ShownEvents(session.display))

    @property
    def has_room(self) -> bool:
        """Whether another task may be started; Ray queues it until there are CPUs and GPUs for it."""
        return self._most is None or len(self.running) < self._most

    def start(self, task: TrialTask) -> None:
        """Starts a task."""
        self.running[self._run.remote(task.as_json(), task.name, self._events)] = task

    def ended(self) -> Iterator[Outcome]:
        """Shows new events, and yields the outcomes of tasks that have ended."""
        ended, _ = self._ray.wait([*self.running], timeout=POLL)
        for name, event in self._events.get_nowait_batch(self._events.qsize()):
            self._shown[name].show(event)
        for reference in ended:
            yield self._outcome(self.running.pop(reference), reference)

    def cancel(self) -> None:
        """Interrupts running tasks, and waits for them."""
        for reference in self.running:
            self._ray.cancel(reference)
        if self.running:
            self._ray.wait([*self.running], num_returns=len(self.running), timeout=PATIENCE)

    def _outcome(self, task: TrialTask, reference: Any) -> Outcome:
        self._shown[task.name].end()
        try:
            return outcome_of(task, self._ray.get(reference))
        except self._ray.exceptions.RayError as error:
            return Outcome(task, DpbenchError(f"{task.trial} failed: Ray lost it {RETRIES + 1} times: {reason(error)}"))


def _remote(ray: Any, request: RunRequest, gpus: int) -> Any:
    """The function that runs a task in a Ray process with the resources of a trial.

    Raises:
        DpbenchError: Ray does not know an option in `job`.
    """
    options = {"num_cpus": request.gpus, "num_gpus": gpus, "max_retries": RETRIES} | job_options(request.job)
    try:
        return ray.remote(_run_on_node).options(runtime_env={"env_vars": folders()}, **options)
    except (TypeError, ValueError) as error:
        raise DpbenchError(f"--job: {' '.join(str(error).split())}") from error


def _run_on_node(content: Mapping[str, Any], name: str, events: Any) -> dict[str, Any]:
    """`run_here`, in a Ray process. The actor `events` lives as long as the command."""

    def send(event: dict[str, Any]) -> None:
        with suppress(Exception):  # the command that shows progress may have ended
            events.put((name, event))

    return run_here(content, send)
