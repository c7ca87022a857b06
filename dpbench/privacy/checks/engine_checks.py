"""Checks on synthetic probe records of the properties of a gradient engine that the sensitivity of DP-SGD relies on.

The cost is a few calls of `clipped_sum` on the probes, whatever their number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.checks.independence import replace
from dpbench.privacy.gradients.engine import GradientEngine

FEW = 8
"""Number of records up to which every pair is distinguished."""

CHANGE = 1e-4
"""Floating-point difference that is allowed between equal shapes, as a share of the mean record's part in a sum."""

NOISE = 0.05
"""The same, times √records, if a repeated call gives another sum, as on GPUs whose kernels add in any order."""


def check_gradients(
    engine: GradientEngine,
    probe: Batch,
    other: Batch,
    views: int,
    restart: Callable[[], torch.Generator],
    turn: int = 0,
) -> None:
    """Checks that an engine sums the records' own gradients, clipped, and that nothing outside the model is trained.

    Losses can be independent while per-example gradients are not: a layer whose input lacks the records' dimension
    (`Embedding(torch.arange(t))` broadcast over the batch) makes rows that belong to no record, and clipping them
    bounds nothing. And a parameter outside the model would receive the raw gradient.

    Some of the records are replaced, and the sum over the others must stay the same. All calls have the same shapes, so
    the sums agree bit for bit unless kernels add in varying order. Up to `FEW` records, every record is kept at least
    once while any other one is replaced. With more, every second record is kept, then the second half; in odd turns the
    complements are.

    Args:
        probe: synthetic records.
        other: as many other records.
        restart: returns the loss's generator, in the same state every time.
        turn: number of the check, from 0; chooses the records that are replaced and the one whose clip is measured.

    Raises:
        PrivacyError: a check fails.
    """
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(0)
        losses = engine.loss(engine.model, probe.repeat(views), restart())
        if not losses.requires_grad:
            raise PrivacyError("the loss does not depend on the model's trainable parameters")
        if any(all(leaf is not p for p in engine.parameters) for leaf in _leaves(losses)):
            raise PrivacyError("the loss trains something outside the model; use detach() or torch.no_grad() for it")

    def clipped_sum(batch: Batch, real: Tensor, clip: float = math.inf) -> Tensor:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return _flat(engine.clipped_sum(batch.repeat(views), real.to(losses.device), views, clip, restart()))

    for kept in _others(len(probe), turn):
        total, changed = clipped_sum(probe, kept), clipped_sum(replace(probe, other, ~kept), kept)
        if not _same(total, changed, int(kept.sum()), partial(clipped_sum, probe, kept)):
            raise PrivacyError(
                "the model mixes records: changing one changes another's gradient; give every layer the whole batch"
            )
    own = torch.arange(len(probe)) == turn % len(probe)
    clip = float(clipped_sum(probe, own).double().norm()) / 2 or 1.0
    if not clipped_sum(probe, own, clip).double().norm() <= (1 + 1e-5) * clip:
        raise PrivacyError("a per-example gradient of this model escapes its clip")


def _others(records: int, turn: int) -> Iterator[Tensor]:
    """Masks of the records that are kept: bool [records] each; for 2 records or more, neither none nor all of them."""
    index = torch.arange(records)
    if records > FEW:
        yield from (index % 2 == turn % 2, (index < records // 2) == bool(turn % 2))
        return
    for bit in range((records - 1).bit_length()):
        yield from (index >> bit & 1 == value for value in (0, 1))


def _same(a: Tensor, b: Tensor, records: int, again: Callable[[], Tensor]) -> bool:
    """Whether two sums over records differ by less than one record could change.

    Args:
        again: computes `a` again, to measure the rounding noise.
    """
    if torch.equal(a, b):
        return True
    difference, scale = (a - b).double().norm(), a.double().norm()
    if difference <= CHANGE * scale / records:
        return True
    noise = (again() - a).double().norm()
    return bool(difference <= 4 * noise and noise <= NOISE * scale / math.sqrt(records))


def check_engine(engine: GradientEngine, batch: Batch, views: int, generator: torch.Generator) -> None:
    """Compares the engine's sum without clipping with autograd's gradient, on synthetic records.

    Args:
        batch: the records, each `views` times, record-major.

    Raises:
        PrivacyError: they differ, because the loss uses a parameter in a way that the engine does not see.
    """
    state = generator.get_state()
    seen = torch.ones(len(batch) // views, dtype=torch.bool, device=next(engine.model.parameters()).device)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sums = engine.clipped_sum(batch, seen, views, math.inf, generator)
        torch.manual_seed(0)
        total = engine.loss(engine.model, batch, generator.set_state(state)).sum() / views
        expected = torch.autograd.grad(total, engine.parameters, allow_unused=True, materialize_grads=True)
    wanted = _flat(list(expected)).double()
    error, scale = (_flat(sums).double() - wanted).norm(), wanted.norm()
    if not error <= 0.02 * scale:  # in bf16, both are off by 1%
        raise PrivacyError(
            f"{type(engine).__name__} misses part of this model's gradient (relative error {error / scale:.2g}); "
            f"use parameters only through their layers' forward; {engine.advice}"
        )


def _leaves(root: Tensor) -> Iterator[Tensor]:
    """The tensors into which `root.backward()` would write gradients."""
    seen, todo = set(), [root.grad_fn]
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable
        todo.extend(next_node for next_node, _ in node.next_functions)


def _flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([t.detach().float().flatten() for t in tensors])
