"""The schedule of a run: its trials, checked before the first one starts, and the time that they take."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path

from dpbench.benchmark.configure import Configured, configure, plan_of
from dpbench.benchmark.request import RunRequest
from dpbench.benchmark.session import Session
from dpbench.benchmark.timetable import STAGES, Work, total
from dpbench.benchmark.trials.auto_steps import Planner
from dpbench.benchmark.trials.scoring import chosen_metrics, missing_metrics
from dpbench.benchmark.trials.slow_metrics import announcement, slow_metrics
from dpbench.benchmark.trials.sweep import make_trials
from dpbench.benchmark.trials.trial import TrialSpec
from dpbench.benchmark.trials.twins import seconds_of_a_twin
from dpbench.core.counted import counted
from dpbench.core.errors import DpbenchError
from dpbench.core.folders import check_space
from dpbench.core.progress import track
from dpbench.core.specs import DatasetSpec
from dpbench.data.opening import open_dataset
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.plan import CalibratedPlan
from dpbench.results.trial_folder import TrialFolder

MOST_LISTED = 10
"""Maximum number of trials to list before a run."""


def plannable_methods(request: RunRequest, spec: DatasetSpec) -> list[Configured]:
    """The configured methods of a request; each has a plan for the dataset. Reads no images.

    Raises:
        DpbenchError: a method or a setting does not exist, or does not suit the dataset.
    """
    methods = configure(request.methods, request.dataset, request.preset, request.settings, request.public)
    for method in methods:
        plan_of(method.method, method.config, spec, request.samples_of(spec))
    return methods


def check_requests(requests: Sequence[RunRequest]) -> None:
    """Checks requests as far as possible without reading images, so that none fails hours later.

    Raises:
        DpbenchError: a dataset, method, setting or metric does not exist, or a method does not suit its dataset.
    """
    for request in requests:
        plannable_methods(request, open_dataset(request.dataset, request.data_options).spec)
        chosen_metrics(request)


def plan_trials(session: Session) -> list[TrialSpec]:
    """Every trial of the session's request, with all checks that are possible before training.

    Raises:
        DpbenchError: a method, a setting or a dataset does not exist, or a method cannot keep its budget.
    """
    request, inputs, display = session.request, session.inputs, session.display
    methods = plannable_methods(request, inputs.spec)
    for method in methods:
        if "public" in request.references and not method.has_public_part:
            reason = "its public data are chosen privately" if method.uses_public else "it uses no public data"
            display.say(f"{method.title} has no public reference row: {reason}")
    with session.processes.rank_zero_first():  # datasets are downloaded and measurements made only once
        conditions = session.sampled
        for _ in track(display, [inputs.train], "reading the images", 1):
            inputs.fingerprint(inputs.train)
        trials = list(make_trials(methods, session, Planner(session)))
    new = [t for t in trials if not t.is_real and (request.force or not t.folder(request.out).is_sampled)]
    for trial in new:
        _check_home(trial, request.out)
    if new:
        samples = len(new) * conditions.conditions.count * math.prod(inputs.spec.shape)
        check_space(request.out, samples, f"the samples of {counted(len(new), 'trial')}")
        for trial in track(display, new, "calibrating", len(new)):
            calibrated_plan(trial)
    with session.processes.rank_zero_first():  # images are checked once
        if new:
            inputs.check_images(display, public=any(trial.public for trial in new))
    return trials


def _check_home(trial: TrialSpec, out: Path) -> None:
    """Checks that a new trial is not finished under another name of its dataset, as after a folder was moved.

    Raises:
        DpbenchError: it is; training it again would spend ε for a row that counts as a copy.
    """
    home = trial.folder(out).path
    for other in out.glob(f"*/{home.parent.name}/{home.name}"):
        if other != home and TrialFolder(other).is_sampled:
            raise DpbenchError(
                f"{trial}: {other} has this trial already, on the same images under another name; move the images "
                "back, or choose another --out: the trial then runs again, as another private run"
            )


def calibrated_plan(trial: TrialSpec) -> CalibratedPlan:
    """The plan of a trial, with noise calibrated for its budget."""
    return calibrate(plan_of(trial.plugin, trial.config, trial.spec, trial.request), trial.budget)


def announce_slow_metrics(
    trials: Sequence[TrialSpec], done: Collection[str], session: Session, metrics: Sequence[str]
) -> None:
    """Announces the metrics that will take hours.

    Args:
        trials: the trials of the run.
        done: keys of the finished trials.
        session: the session of the run.
        metrics: names of the metrics.

    Raises:
        DpbenchError: a metric would take days.
    """
    spec, left = session.inputs.spec, [trial for trial in trials if trial.key not in done]
    for name, seconds in slow_metrics(metrics, spec, session.request.samples, session.device).items():
        if any(missing_metrics(trial.folder(session.out), [name]) for trial in left):
            session.display.say(announcement(name, seconds, session.device))


def expect_times(trials: Sequence[TrialSpec], done: Collection[str], session: Session) -> list[Work]:
    """Gives the timetable the work to do and the times of earlier trials. Returns the work to do.

    Args:
        trials: the trials of the run.
        done: keys of the finished trials.
        session: the session of the run.
    """
    works = [Work(trial.title, ()) if trial.key in done else work_left(trial, session) for trial in trials]
    session.timetable.plan(works, [str(trial) for trial in trials])
    trained = {work.kind: trial for work, trial in zip(works, trials, strict=True) if "fit" in work.stages}
    for kind, trial in trained.items():
        session.timetable.learn(kind, seconds_of_a_twin(trial, session))
    return works


def announce_trials(trials: Sequence[TrialSpec], works: Sequence[Work], session: Session) -> None:
    """Announces the trials that are left, and how long they take, if earlier trials tell."""
    left = [(trial, work, session.timetable.expected(work)) for trial, work in zip(trials, works, strict=True)
            if work.stages]  # fmt: skip
    if len(left) < len(trials):
        session.display.say(f"finished already: {len(trials) - len(left)} of {len(trials)} trials")
    if len(left) < 2:
        return
    session.display.say(f"{len(left)} trials to come; time: {total(time for *_, time in left)}")
    for trial, work, time in left[:MOST_LISTED]:
        session.display.say(f"  {trial}: {', '.join(STAGES[stage] for stage in work.stages)}; time: {time}")
    if len(left) > MOST_LISTED:
        session.display.say(f"  and {len(left) - MOST_LISTED} more; `--dry-run` shows all")


def work_left(trial: TrialSpec, session: Session) -> Work:
    """The stages of an unfinished trial that `run_trial` will run, if nothing changes before it starts."""
    folder = trial.folder(session.out)
    if folder.is_sampled and not session.request.force:
        return Work((trial.title, "sampled"), ("evaluate",))
    if trial.is_real:
        return Work(trial.title, ("evaluate",))
    state = "continues" if folder.has_checkpoints(trial.spec.public_benchmark) else "new"
    left_out = {"prepare": trial.public is None, "fit": trial.epsilon == 0}
    return Work((trial.title, state), tuple(stage for stage in STAGES if not left_out.get(stage)))
