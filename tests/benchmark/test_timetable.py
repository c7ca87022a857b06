"""The time left: expected from finished trials of the same kind, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fakes
import pytest

import dpbench
from dpbench.benchmark import timetable as module
from dpbench.benchmark.commands.running import run_request
from dpbench.benchmark.session import Session
from dpbench.benchmark.timetable import Timetable, Work, rough
from dpbench.benchmark.trials import schedule
from dpbench.benchmark.trials.finished import finished_trials
from dpbench.benchmark.trials.schedule import expect_times, plan_trials
from dpbench.benchmark.trials.twins import seconds_of_a_twin
from dpbench.core.config import option
from dpbench.core.progress import Advance, Quiet

ALL = ("prepare", "fit", "sample", "evaluate")
PUBLIC = ("prepare", "sample", "evaluate")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def go_through(table: Timetable, clock: Clock, **seconds: float) -> None:
    for stage, length in seconds.items():
        with table.stage(stage):
            clock.now += length


def test_nothing_is_claimed_before_there_is_data(clock: Clock) -> None:
    table = Timetable()
    table.plan([Work("a", ALL), Work("a", ALL)])
    table.begin(1)
    assert table.left() == ""
    with table.stage("fit"):
        assert table.line() == "trial 1 of 2 · private training · estimating the time left ..."


def test_time_left_counts_down_and_public_training_counts_once(clock: Clock) -> None:
    table = Timetable()
    table.plan([Work("a", ALL)] * 3)
    table.begin(1)
    go_through(table, clock, prepare=1000, fit=300, sample=100, evaluate=200)
    table.begin(2)
    assert table.left() == "about 20 min left"  # 2 · 600 s
    go_through(table, clock, prepare=0)
    with table.stage("fit"):
        clock.now += 240
        assert table.line() == "trial 2 of 3 · private training · about 16 min left"
        clock.now += 660  # longer than expected
        assert table.left() == "about 15 min left"
    go_through(table, clock, sample=100, evaluate=200)
    table.begin(3)
    assert table.left() == "about 15 min left"  # the mean of 300 and 900, and 300
    go_through(table, clock, prepare=0, fit=600, sample=100)
    with table.stage("evaluate"):
        clock.now += 197
        assert table.line() == "trial 3 of 3 · scoring"


def test_earlier_trials_give_an_estimate_before_anything_starts(clock: Clock) -> None:
    table = Timetable()
    table.plan([Work("a", ALL)] * 2)
    table.learn("a", {"prepare": 1000.0, "fit": 600.0, "sample": 60.0, "evaluate": 120.0})
    table.begin(1)
    assert table.left() == "about 26 min left"  # public training is in the cache


def test_unknown_stages_make_it_a_lower_bound(clock: Clock) -> None:
    table = Timetable()
    table.plan([Work("a", PUBLIC), Work("a", ALL), Work("b", ALL)])
    table.begin(1)
    go_through(table, clock, prepare=60, sample=60, evaluate=120)
    table.begin(2)
    assert table.left() == "more than 3 min left"  # the private training of a, and all of b
    go_through(table, clock, prepare=0, fit=600, sample=60, evaluate=120)
    table.begin(3)
    assert table.left() == ""
    assert table.line().endswith("estimating the time left ...")


def test_the_pace_of_steps_tells_the_least_time_of_a_new_stage(clock: Clock) -> None:
    table = Timetable()
    table.plan([Work("a", ALL), Work("a", ALL)])
    table.begin(1)
    with table.stage("fit"), table.phase("steps", 101) as advance:
        clock.now += 1000  # compiling the first step
        advance()
        assert table.left() == ""
        for _ in range(10):
            clock.now += 2
            advance()
        assert table.line() == "trial 1 of 2 · private training · more than 3 min left"
        with table.phase("short", 2) as inner:
            inner()
            assert table.left() == "more than 3 min left"
    table.begin(2)
    with table.stage("fit"), table.phase("steps", 100) as advance:
        advance(50)
        clock.now += 10
        assert table.left() == "more than 17 min left"  # the first trial tells more than the pace


def test_steps_of_an_interrupted_attempt_do_not_change_the_pace(clock: Clock) -> None:
    table = Timetable()
    table.plan([Work("a", ALL)])
    table.begin(1)
    with table.stage("fit"), table.phase("steps", 100) as advance:
        advance(50)
        clock.now += 10
        advance()
        assert table.left() == "more than 8 min left"  # 49 · 10 s


def test_finished_trials_take_no_time_and_tell_nothing(clock: Clock) -> None:
    table = Timetable()
    table.plan([Work(("a", "sampled"), ("evaluate",)), Work("a", ()), Work("a", ALL)])
    table.begin(1)
    go_through(table, clock, evaluate=50)
    table.begin(2)
    assert table.line() == "trial 2 of 3 · estimating the time left ..."


def test_a_failed_stage_tells_nothing(clock: Clock) -> None:
    table = Timetable()
    table.plan([Work("a", ALL)] * 2)
    table.begin(1)
    with suppress(KeyError), table.stage("fit"):
        clock.now += 100
        raise KeyError
    assert table.left() == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(6, "10 s"), (44, "40 s"), (89, "90 s"), (100, "2 min"), (5000, "83 min"), (9000, "2.5 h")]
)
def test_durations_are_rough(seconds: float, text: str) -> None:
    assert rough(seconds) == text


class Watching(Quiet):
    """Reads the overview whenever a phase starts."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.read = str

    def overview(self, line: Callable[[], str]) -> AbstractContextManager[object]:
        self.read = line
        return nullcontext()

    def phase(self, name: str, total: int) -> AbstractContextManager[Advance]:
        self.lines.append(f"{name}: {self.read()}")
        return super().phase(name, total)


def test_work_is_what_a_run_does(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = dpbench.RunRequest("fake", "tiny", [2.0], delta=1e-6, public="tiny-public", samples=30, device="cpu",
                                 metrics=["brightness"], out=tiny)  # fmt: skip

    def works(**changes: Any) -> list[tuple[str, ...]]:
        changed = replace(request, **changes)
        with Session.open(changed) as session:
            trials = plan_trials(session)
            done = finished_trials(trials, session, changed.metrics or ())
            return [work.stages for work in expect_times(trials, done, session)]

    assert works() == [PUBLIC, ALL, ("evaluate",)]
    stages: list[str] = []
    stage = Timetable.stage
    monkeypatch.setattr(Timetable, "stage", lambda self, name: stages.append(name) or stage(self, name))
    display = Watching()
    run_request(request, display)
    assert stages == [*PUBLIC, *ALL, "evaluate", "evaluate"]  # the last one is for the sheet of samples
    line = "trial 2 of 3 · private training · estimating the time left ... · next: real images of tiny"
    assert f"fitting: {line}" in display.lines
    assert works() == [(), (), ()]
    with Session.open(replace(request, seeds=2, references=())) as session:
        *_, new = plan_trials(session)
        seconds = seconds_of_a_twin(new, session)
        assert seconds.keys() == {*ALL}
        assert 0 < seconds["fit"] < 100
        assert seconds_of_a_twin(replace(new, fingerprint="other images"), session) == {}
    with Session.open(replace(request, seeds=2, references=(), samples=90)) as session:
        *_, new = plan_trials(session)
        scaled = seconds_of_a_twin(new, session)
        assert scaled == {"prepare": seconds["prepare"], "fit": seconds["fit"], "sample": 3 * seconds["sample"]}
    assert works(metrics=["brightness", "classy"]) == [("evaluate",)] * 3
    assert works(force=True) == [PUBLIC, ALL, ("evaluate",)]


@dataclass(frozen=True)
class WideConfig(fakes.FakeConfig):
    """A setting that JSON stores in another form: as a list."""

    widths: tuple[int, ...] = option((16, 32), "channels per level")


def test_a_trial_whose_settings_hold_a_tuple_has_twins(tiny: Path) -> None:
    dpbench.METHODS.register("wide")(type("Wide", (fakes.FakeMean,), {"Config": WideConfig}))
    request = dpbench.RunRequest("wide", "tiny", [2.0], delta=1e-6, public="tiny-public", samples=30, device="cpu",
                                 metrics=["brightness"], references=(), out=tiny)  # fmt: skip
    run_request(request)
    for settings, is_twin in (({}, True), ({"widths": (16, 64)}, False)):
        with Session.open(replace(request, seeds=2, settings=settings)) as session:
            *_, new = plan_trials(session)
            assert bool(seconds_of_a_twin(new, session)) == is_twin


def test_a_method_without_public_images_has_no_public_training(tiny: Path) -> None:
    request = dpbench.RunRequest("alone", "tiny", [2.0], delta=1e-6, samples=30, device="cpu", references=(), out=tiny)
    with Session.open(request) as session:
        (work,) = expect_times(plan_trials(session), (), session)
    assert work.stages == ("fit", "sample", "evaluate")


def test_the_line_names_the_next_trial_that_is_left(clock: Clock) -> None:
    table = Timetable()
    table.plan([Work("a", ALL), Work("a", ()), Work("b", ALL)], ["a ε=1", "a ε=2", "b ε=1"])
    table.begin(1)
    assert table.line().endswith(" · next: b ε=1")
    table.begin(3)
    assert "next" not in table.line()


class Saying(Quiet):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


def test_a_run_says_what_is_to_come_with_the_times_of_earlier_trials(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = dpbench.RunRequest("fake", "tiny", [1.0, 2.0], delta=1e-6, public="tiny-public", samples=30, device="cpu",
                                 metrics=["brightness"], references=(), out=tiny)  # fmt: skip
    first, second = Saying(), Saying()
    run_request(request, first)
    stages = "public training, private training, sampling, scoring"
    assert first.said[:3] == ["2 trials to come; time: unknown"] + [
        f"  fake ε={epsilon} seed 0: {stages}; time: unknown" for epsilon in (1, 2)
    ]
    monkeypatch.setattr(schedule, "MOST_LISTED", 1)
    run_request(replace(request, seeds=2), second)
    done, to_come, first_trial, others = second.said[:4]
    assert done == "finished already: 2 of 4 trials"
    assert to_come.startswith("2 trials to come; time: ")
    assert "unknown" not in to_come
    assert first_trial.startswith(f"  fake ε=1 seed 1: {stages}; time: ")
    assert others == "  and 1 more; `--dry-run` shows all"
