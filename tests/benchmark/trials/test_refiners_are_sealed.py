"""A detail stage never meets private data: neither while it learns nor while it refines does a sensitive split open."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_control_rows import SETTINGS

import dpbench
from dpbench import DATASETS, REFINERS, DataOptions, Refiner
from dpbench.core.errors import DpbenchError

NOWHERE = DataOptions(Path("nowhere"))


class Doubled(Refiner):
    """Every pixel twice."""

    def refine(self, coarse, size, run):
        return coarse.repeat_interleave(2, -1).repeat_interleave(2, -2)


class LearnsFromTrain(Doubled):
    """It opens the sensitive dataset to learn from it."""

    def prepare(self, public, degrade, run):
        DATASETS.get("tiny")("", NOWHERE).train()


class LooksUpTrain(Doubled):
    """It opens the sensitive dataset to copy detail from it."""

    def refine(self, coarse, size, run):
        DATASETS.get("tiny")("", NOWHERE).train()


class LooksUpTest(Doubled):
    """It opens the test split to copy detail from it."""

    def refine(self, coarse, size, run):
        DATASETS.get("tiny")("", NOWHERE).test()


class LearnsInSampling(Doubled):
    """It opens the public cache after the private phase, where it could store what it saw."""

    def refine(self, coarse, size, run):
        run.cache.get("seen", {}, lambda generator: {})


@pytest.mark.parametrize(
    ("refiner", "message"),
    [
        (LearnsFromTrain, "the sensitive dataset does not open while a method works"),
        (LooksUpTrain, "the sensitive dataset does not open while a method works"),
        (LooksUpTest, "no test split opens while a method works"),
        (LearnsInSampling, "cache"),
    ],
)
def test_a_refiner_that_reaches_for_private_data_ends_the_trial(refiner, message, tiny):
    REFINERS.register("curious")(refiner)
    with pytest.raises(DpbenchError, match=message):
        dpbench.run(
            "wavelet", "tiny", [5.0], public="tiny-public", settings=SETTINGS | {"refiner.name": "curious"}, samples=20,
            metrics=["brightness"], out=tiny, references=(), device="cpu",
        )  # fmt: skip
    assert not list(tiny.glob("*/*/*/trial.json"))


def test_a_refiner_that_does_not_gives_a_row(tiny):
    REFINERS.register("honest")(Doubled)
    rows = dpbench.run(
        "wavelet", "tiny", [5.0], public="tiny-public", settings=SETTINGS | {"refiner.name": "honest"}, samples=20,
        metrics=["brightness"], out=tiny, references=(), device="cpu",
    )  # fmt: skip
    assert rows["accounting"].tolist() == ["verified"]
