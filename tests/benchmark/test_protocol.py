"""Plugin methods that open sealed data raise an error and leave no row."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import events
import fakes
import pytest

import dpbench
from dpbench import DATASETS, METHODS, DataOptions, DpbenchError
from dpbench.benchmark.commands.method_plan import method_plan
from dpbench.core.errors import PrivacyError
from dpbench.data.opening import open_dataset

OPTIONS = DataOptions(Path())
PEEKS: dict[str, Callable[[], object]] = {
    "opens test by name": lambda: open_dataset("tiny", OPTIONS).test(),
    "opens test through the registry": lambda: DATASETS.get("tiny")("", OPTIONS).test(),
    "opens train past the vault": lambda: open_dataset("tiny", OPTIONS).train(),
}


def cheat(phase: str, peek: Callable[[], object]) -> type[dpbench.Method]:
    """A method that calls `peek` in one of its phases."""

    def method(self, *arguments):
        peek()
        return getattr(fakes.FakeMean, phase)(self, *arguments)

    return type("Cheat", (fakes.FakeMean,), {phase: method})


def run(out: Path, **options):
    settings = {"public": "tiny-public", "samples": 20, "metrics": ["brightness"], "references": (), "device": "cpu"}
    return dpbench.run("cheat", "tiny", [5.0], out=out, **settings | options)


PHASES = ["prepare", "fit", "sample"]
OUTSIDE_PHASES = ["__init__", "plan", "state_dict", "parameters"]


@pytest.mark.parametrize("phase", [*PHASES, *OUTSIDE_PHASES])
@pytest.mark.parametrize("peek", PEEKS.values(), ids=PEEKS)
def test_method_that_opens_sealed_data_fails(tiny, phase, peek) -> None:
    method = cheat(phase, peek)
    METHODS.register("cheat")(method)
    with pytest.raises(DpbenchError, match="while a method works" if phase in PHASES else "no dataset opens while"):
        run(tiny)
    assert not list(tiny.glob("*/*/*/trial.json"))


@pytest.mark.parametrize("number", [1, 2])
def test_every_call_of_plan_is_sealed(tiny, number: int) -> None:
    calls = 0

    def peek() -> None:
        nonlocal calls
        calls += 1
        if calls == number:
            open_dataset("tiny", OPTIONS).train().batch(range(200)).labels.bincount()

    METHODS.register("cheat")(cheat("plan", peek))
    with pytest.raises(PrivacyError, match="no dataset opens while"):
        run(tiny)
    assert calls == number
    assert "fit" not in events.EVENTS


def test_plan_of_another_callable_type_is_sealed(tiny) -> None:
    def peek(dataset: str, config, spec, request):
        return open_dataset(dataset, OPTIONS).train()

    METHODS.register("cheat")(type("Cheat", (fakes.FakeMean,), {"plan": functools.partial(peek, "tiny")}))
    with pytest.raises(PrivacyError, match="no dataset opens while"):
        run(tiny)


def test_pages_that_show_a_plan_are_sealed(tiny) -> None:
    METHODS.register("cheat")(cheat("plan", PEEKS["opens train past the vault"]))
    with pytest.raises(PrivacyError, match="no dataset opens while"):
        method_plan(dpbench.RunRequest("cheat", "tiny"), 1.0)


def test_test_split_opens_once_after_sampling(tiny) -> None:
    METHODS.register("cheat")(fakes.FakeMean)
    run(tiny, seeds=2)
    assert events.EVENTS.count("test") == 1
    assert events.EVENTS.index("test") > events.EVENTS.index("sample")


def test_later_trials_cannot_open_the_test_split(tiny) -> None:
    METHODS.register("honest")(fakes.FakeMean)
    METHODS.register("cheat")(cheat("fit", PEEKS["opens test by name"]))
    with pytest.raises(DpbenchError, match="while a method works"):
        dpbench.run(
            ["honest", "cheat"], "tiny", [5.0], public="tiny-public", samples=20, metrics=["brightness"],
            references=(), out=tiny, device="cpu",
        )  # fmt: skip
    assert len(list(tiny.glob("*/*/*/trial.json"))) == 1
