"""`dpbench run --dry-run`: the trials of a run with their plans and times, without training any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dpbench.benchmark.commands.method_plan import MethodPlan
from dpbench.benchmark.launching import check_launcher
from dpbench.benchmark.request import RunRequest
from dpbench.benchmark.session import Session
from dpbench.benchmark.timetable import Expected, total
from dpbench.benchmark.trials.finished import finished_trials
from dpbench.benchmark.trials.schedule import announce_slow_metrics, calibrated_plan, expect_times, plan_trials
from dpbench.benchmark.trials.scoring import chosen_metrics
from dpbench.benchmark.trials.trial import TrialSpec
from dpbench.benchmark.trials.trial_task import tasks_of
from dpbench.core.progress import Display
from dpbench.core.specs import DatasetSpec


class PlannedTrial(NamedTuple):
    """What a run will do for one trial.

    Attributes:
        trial: its specification.
        stages: the stages that are left, a part of `timetable.STAGES`; empty if the trial is finished.
        time: how long they take.
    """

    trial: TrialSpec
    stages: tuple[str, ...]
    time: Expected


@dataclass(frozen=True)
class DryRun:
    """What a run will do.

    Attributes:
        spec: the dataset's declaration.
        metrics: names of the metrics to compute.
        trials: the trials, in the order in which they run.
        plans: the plan of each private trial, once for trials that differ only in their seed.
        time: how long the run takes.
    """

    spec: DatasetSpec
    metrics: Sequence[str]
    trials: Sequence[PlannedTrial]
    plans: Sequence[MethodPlan]
    time: Expected


def dry_run(request: RunRequest, display: Display | None = None) -> DryRun:
    """What `run_request` would do. Trains nothing and writes no results.

    Reads the images, as the run does before it starts, and so finds missing or damaged ones. Times come from finished
    trials with the same settings, dataset and device in the folder of results.

    Raises:
        DpbenchError: as `run_request` before it starts its first trial.
    """
    with Session.open(request, display, writes=True) as session:
        metrics = chosen_metrics(request)
        trials = plan_trials(session)
        done = finished_trials(trials, session, metrics)
        check_launcher(tasks_of(trials, done, request), session)
        announce_slow_metrics(trials, done, session, metrics)
        works = expect_times(trials, done, session)
        times = [session.timetable.expected(work) for work in works]
        planned = [PlannedTrial(t, work.stages, time) for t, work, time in zip(trials, works, times, strict=True)]
        spending = {(trial.title, trial.epsilon): trial for trial in trials if trial.is_private}
        plans = [MethodPlan(trial.title, trial.spec, calibrated_plan(trial)) for trial in spending.values()]
    return DryRun(session.inputs.spec, metrics, planned, plans, total(times))
