"""For each check, a method that breaks its promise."""

from __future__ import annotations

import itertools
from pathlib import Path

import torch
from sound_method import Sound

import dpbench.data.arrays  # noqa: F401 (for check_imports)
from dpbench import NoisySum, Plan, Preset


class Undescribed(Sound):
    __doc__ = ""


class NeverTheSamePlan(Sound):
    """Its clip grows with every call."""

    clips = itertools.count(1)

    @classmethod
    def plan(cls, config, spec, request) -> Plan:
        return Plan(NoisySum(name="mean", clip=float(next(cls.clips))))


class BuildFails(Sound):
    """Its plan accepts what it cannot build."""

    def __init__(self, config, spec):
        if spec.resolution % 2:
            raise ValueError("odd")
        super().__init__(config, spec)


class UnknownSetting(Sound):
    """A preset sets what is no setting."""

    presets = {"small": Preset({"depth": 3})}  # noqa: RUF012


class NeedsFit(Sound):
    """It cannot sample after prepare alone."""

    def prepare(self, public, run) -> None:
        pass


class NeedsPublicLabels(Sound):
    """It fails where public images have no labels."""

    def prepare(self, public, run) -> None:
        super().prepare(public, run)
        self.largest = public.batch([0]).labels.max()


class SpendsNothing(Sound):
    """It leaves its plan alone."""

    def fit(self, private, run) -> None:
        pass


class Floats(Sound):
    """It samples floating-point images."""

    def sample(self, conditions, run):
        return super().sample(conditions, run).float()


class NeedsClasses(Sound):
    """It cannot do without labels."""

    def sample(self, conditions, run):
        return super().sample(conditions, run) + 0 * len(conditions.labels)


class Unseeded(Sound):
    """It draws from a generator of its own."""

    def sample(self, conditions, run):
        run.generator.seed()
        return super().sample(conditions, run)


class Forgetful(Sound):
    """It does not restore what it saved."""

    def load_state_dict(self, state) -> None:
        self.mean = torch.zeros(self.spec.shape)


class StartsAnew(Sound):
    """What it asks depends on the attempt: the same noise would answer two questions."""

    attempts = itertools.count(1)

    def fit(self, private, run) -> None:
        share = 1 / next(self.attempts)
        self.mean = private.noisy_sum("mean", lambda batch: share * batch.images.float() / 255)


class Miscounted(Sound):
    """It has more private parameters than parameters."""

    def parameters(self) -> tuple[int, int]:
        return 2, 1


class WritesAnywhere(Sound):
    """It writes beside the trial's folder."""

    def fit(self, private, run) -> None:
        super().fit(private, run)
        Path("mean.txt").write_text(str(self.mean), encoding="utf-8")


class OnTheClass(Sound):
    """It keeps what it learned on its class."""

    def fit(self, private, run) -> None:
        super().fit(private, run)
        type(self).learned = self.mean


BROKEN: dict[str, tuple[type[Sound], str]] = {
    "check_summary": (Undescribed, "has no docstring"),
    "check_plan_is_fixed": (NeverTheSamePlan, "plans differently each time"),
    "check_unsuitable_data": (BuildFails, "building broken for 7 pixels"),
    "check_presets": (UnknownSetting, "preset small of broken must work"),
    "check_public_part_alone": (NeedsFit, "after prepare alone must work"),
    "check_unlabelled_public_part": (NeedsPublicLabels, "without labels, or refusing them, must work"),
    "check_budget_is_spent": (SpendsNothing, "spending the whole plan"),
    "check_images": (Floats, "must return uint8 images"),
    "check_unconditional": (NeedsClasses, "on images without classes must work"),
    "check_seeds": (Unseeded, "other samples for the same seed"),
    "check_saved_model": (Forgetful, "samples differently after saving"),
    "check_resumed": (StartsAnew, "continuing broken after a kill"),
    "check_parameters": (Miscounted, "2 private parameters of 1"),
    "check_files": (WritesAnywhere, "writes mean.txt"),
    "check_shared_state": (OnTheClass, "changed OnTheClass.learned"),
    "check_imports": (OnTheClass, "imports dpbench.data"),
    "check_planned_without_torch": (OnTheClass, "must need no torch"),
}
"""Check -> a method that fails it, and a part of the message."""
