"""One trial after the other, in this process."""

from __future__ import annotations

from collections.abc import Iterator

from dpbench.benchmark.launching import Outcome, Waves
from dpbench.benchmark.session import Session
from dpbench.benchmark.trials.scoring import chosen_metrics
from dpbench.core.errors import DpbenchError


def check(waves: Waves, session: Session) -> None:
    """Nothing is needed."""


def launch(waves: Waves, session: Session) -> Iterator[Outcome]:
    """Runs tasks; with several processes, all of them work on each one."""
    request, display, timetable = session.request, session.display, session.timetable
    metrics = chosen_metrics(request)
    with display.overview(timetable.line):
        for task in (task for wave in waves for task in wave):
            timetable.begin(task.number)
            display.say(", ".join(filter(None, [str(task), timetable.left()])))
            try:
                acted = task.run(session, metrics)
            except DpbenchError as error:
                yield Outcome(task, error)
            else:
                yield Outcome(task, acted=acted)
