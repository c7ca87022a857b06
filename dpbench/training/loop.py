"""The training loop for public and private steppers: schedule, moving average, progress and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import nn

from dpbench.core.context import RunContext
from dpbench.training.interrupts import Interrupts
from dpbench.training.part import Part, Schedule, Stepper
from dpbench.training.public_steps import PublicSteps
from dpbench.training.state import TrainingState

CHECKPOINT_SECONDS = 60.0
"""Minimum time between two checkpoints of a phase, in seconds."""

NOTE_SECONDS = 2.0
"""Minimum time between two updates of the note, in seconds. Composing ε may take longer than a step."""


def train(
    stepper: Stepper,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    run: RunContext,
    name: str,
    *,
    warmup: float = 0.05,
    ema: float | None = None,
    ema_warmup: bool = False,
    schedule: Schedule = "linear",
    note: Callable[[], str] = lambda: "",
) -> None:
    """Runs all steps of a stepper, by default with a linear warm-up and a linear decay of the learning rate to zero.

    If the run keeps checkpoints, the state is saved once a minute, before an interruption (Ctrl-C, SIGTERM) ends the
    program, and at the end, before the result is used. An interrupted phase resumes from its last checkpoint when the
    same program runs again. Steps after the checkpoint are repeated; the private ones among them have released nothing.

    Args:
        stepper: takes the optimiser steps.
        model: the trained model.
        optimizer: the stepper's optimiser; its learning rate is scheduled.
        run: progress bar, checkpoints, and the generator used by the losses.
        name: name of the progress bar and the checkpoint.
        warmup, ema, ema_warmup, schedule: see `Part`.
        note: text after the progress bar, e.g. the ε spent so far; called after the first step, then every
            `NOTE_SECONDS`, and at the end.

    Raises:
        DpbenchError: training diverged: weights are no longer finite.
    """
    part = Part(stepper, model, optimizer, warmup=warmup, ema=ema, ema_warmup=ema_warmup, schedule=schedule)
    train_together([part], run, name, note=note)


def train_together(parts: Sequence[Part], run: RunContext, name: str, *, note: Callable[[], str] = lambda: "") -> None:
    """Trains several models alternately, with one checkpoint: a critic and its generator, an encoder and a prior.

    Their steps are interleaved evenly: with 500 steps of a critic and 100 of a generator, the generator takes one after
    every five of the critic. Each part may be private (`dp_sgd`, a mechanism of its own) or public (`PublicSteps`).

    Args:
        parts: each with its stepper, model and optimiser; at equal progress, the first one goes first.
        run: see `train`.
        name: see `train`.
        note: see `train`.

    Raises:
        DpbenchError: training diverged: weights are no longer finite.
    """
    state = TrainingState(parts, run)
    checkpoint = run.checkpoints.next(name, state.key())

    def save() -> None:
        for part in parts:
            part.require_finite()
        checkpoint.save(state.state_dict())

    total = sum(part.steps for part in parts)
    with run.progress.phase(name, total) as advance, Interrupts() as interrupts:
        stored = checkpoint.load(partial(torch.load, map_location="cpu", weights_only=True))
        if stored is not None:
            state.load_state_dict(stored)
            advance(done := sum(part.done for part in parts))
            if done < total:
                run.checkpoints.say(f"{name}: resumed at step {done} of {total}")
        saved, noted = time.monotonic(), -math.inf
        for part in _turns(parts):
            advance(1)
            now = time.monotonic()
            if now - noted >= NOTE_SECONDS:
                part.require_finite()
                advance(0, _noted(parts, note, run))
                noted = now
            if now - saved >= CHECKPOINT_SECONDS or interrupts.waiting:
                save()
                saved = time.monotonic()
            if interrupts.waiting:
                interrupts.deliver()
        advance(0, _noted(parts, note, run))
    for part in parts:
        part.finish()
    save()


def _noted(parts: Sequence[Part], note: Callable[[], str], run: RunContext) -> str:
    """A note, and the losses that may be shown: "ε 0.83 of 1 · loss 0.12". Losses of private steps never are."""
    public = [p.stepper.last_loss for p in parts if run.shows_losses and isinstance(p.stepper, PublicSteps)]
    losses = [f"loss {float(loss):.4g}" for loss in public if loss is not None]
    return " · ".join(filter(None, [note(), *losses]))


def _turns(parts: Sequence[Part]) -> Iterator[Part]:
    """Takes all steps of all parts; yields the part after each step."""
    left = list(parts)
    while left:
        part = min(left, key=lambda p: (p.done + 1) / max(1, p.steps))
        if part.step():
            yield part
        else:
            left.remove(part)
