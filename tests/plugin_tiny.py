"""Registers the fakes for a command in processes of its own; DPBENCH_KILL=k kills the last in the k-th private step."""

from __future__ import annotations

import os
import signal

import fakes

from dpbench import DATASETS, METHODS, METRICS
from dpbench.privacy.stepper import DPSGDStepper
from dpbench.training import loop

DATASETS.register("tiny")(fakes.Tiny)
DATASETS.register("tiny-public")(fakes.TinyPublic)
METHODS.register("fake")(fakes.FakeMean)
METRICS.register("brightness")(fakes.Brightness)

if last := int(os.environ.get("DPBENCH_KILL", "0")):
    loop.CHECKPOINT_SECONDS = 0.0
    step, taken = DPSGDStepper.__next__, 0

    def step_or_die(self: DPSGDStepper) -> object:
        global taken
        taken += 1
        if taken == last and int(os.environ.get("RANK", "0")) == int(os.environ.get("WORLD_SIZE", "1")) - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self)

    DPSGDStepper.__next__ = step_or_die  # type: ignore[method-assign,assignment]
