"""Proof on made-up records that a computation treats records independently (rule R1).

Clipping bounds what a record adds to a sum only if the record changes nothing else in it. The check replaces half of a
batch of made-up records at once, and then the other half, and compares the values of those that stayed: a computation
that mixes records over the batch is found by two calls, whatever the size. It guards against mistakes, not malice.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.gradients import GradientEngine

Compute = Callable[[Batch], Tensor]
"""Batch of b records -> [b, ...]; the same at every call, random draws included."""


def check_shape(values: Tensor, records: int, what: str) -> None:
    """Refuses values that are not one per record.

    Raises:
        PrivacyError: the first dimension is not the records'.
    """
    if values.ndim == 0 or len(values) != records:
        raise PrivacyError(f"{what} must give one value per record: {records} records made shape {tuple(values.shape)}")


def check_independent(compute: Compute, values: Tensor, probe: Batch, other: Batch, what: str, seed: int = 0) -> None:
    """Replaces about half of `probe` by records of `other`, then the rest, and compares the values that should stay.

    Args:
        compute: the computation.
        values: what it made of `probe`.
        probe: made-up records.
        other: as many, unlike them.
        what: the computation's name in the message.
        seed: chooses the halves.

    Raises:
        PrivacyError: one record's value depends on another record, or on something that changes between calls.
    """
    half = random_half(len(probe), seed).to(values.device)
    for replaced in (half, ~half):
        if not equal_rows(values, compute(replace(probe, other, replaced)), ~replaced):
            if not equal_rows(values, compute(probe), ~replaced):
                raise PrivacyError(
                    f"{what} gives different values for the same records; draw from the generator it is given"
                )
            raise PrivacyError(f"{what} mixes records: changing one changes another's value")


def check_order_free(compute: Compute, values: Tensor, probe: Batch, what: str) -> None:
    """Refuses values that depend on a record's place: in a Poisson sample one record decides about the others' places.

    Args:
        compute: the computation.
        values: what it made of `probe`.
        probe: made-up records.
        what: the computation's name in the message.

    Raises:
        PrivacyError: the records in another order do not have the same values in that order.
    """
    order = shuffled(len(probe), 0).to(values.device)
    moved = compute(probe.map(lambda t: t[order.to(t.device)]))
    back = order.argsort()
    if not equal_rows(values, moved.index_select(0, back), torch.ones_like(order, dtype=torch.bool)):
        raise PrivacyError(f"{what} depends on a record's place in the batch, which other records decide")


def check_layers(model: nn.Module) -> None:
    """Refuses layers that compute statistics of the batch as the model stands (train or eval).

    Raises:
        PrivacyError: names the layer.
    """
    for name, module in model.named_modules():
        running = getattr(module, "track_running_stats", False)
        if module.training and (isinstance(module, _BatchNorm) or running):
            raise PrivacyError(f"layer '{name}' ({type(module).__name__}) mixes records; use GroupNorm or LayerNorm")


def warn_if_not_finite(values: Tensor, what: str) -> None:
    """Says which share of made-up records would count as zero.

    Warns:
        UserWarning: some values are not finite.
    """
    finite = (values.coalesce().values() if values.is_sparse else values).isfinite()
    if not finite.all():
        share = 1 - float(finite.reshape(len(finite), -1).all(1).float().mean())
        warnings.warn(
            f"{what} is not finite for {share:.0%} of made-up records, and such records count as zero; the cause may "
            "be an overflow in fp16 or bf16, or a division by the spread of a flat image",
            stacklevel=4,
        )


def check_gradients(
    engine: GradientEngine, probe: Batch, other: Batch, views: int, restart: Callable[[], torch.Generator]
) -> None:
    """Proves on random records that an engine sums the records' own gradients, clipped, and that nothing else learns.

    Losses can be independent while per-example gradients are not: a layer whose input lacks the records' dimension
    (`Embedding(torch.arange(t))` broadcast over the batch) makes rows that belong to no record, and clipping them
    bounds nothing. And a parameter outside the model would receive the raw gradient.

    Args:
        restart: gives the loss's generator in the same state every time.

    Raises:
        PrivacyError: says which of these it is.
    """

    def clipped_sum(batch: Batch, real: Tensor, clip: float) -> Tensor:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return _flat(engine.clipped_sum(batch.repeat(views), real, views, clip, restart()))

    def differ(a: Tensor, b: Tensor, tolerance: float) -> bool:
        return bool((a - b).norm() > tolerance * each.norm(dim=1).sum())

    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(0)
        losses = engine.loss(engine.model, probe.repeat(views), restart())
        if not losses.requires_grad:
            raise PrivacyError("the loss does not depend on the model's trainable parameters")
        if any(all(leaf is not p for p in engine.parameters) for leaf in _leaves(losses)):
            raise PrivacyError("the loss trains something outside the model; use detach() or torch.no_grad() for it")
    one = torch.eye(len(probe), dtype=torch.bool, device=losses.device)
    each = torch.stack([clipped_sum(probe, record, math.inf) for record in one])
    for i, record in enumerate(one):
        if differ(clipped_sum(replace(probe, other, one[i]), ~record, math.inf), each[~record].sum(dim=0), 1e-3):
            raise PrivacyError(
                "the model mixes records: changing one changes another's gradient; give every layer the whole batch"
            )
    norms = each.norm(dim=1)
    clip = float(norms.max()) / 2 or 1.0
    if clipped_sum(probe, one[int(norms.argmax())], clip).norm() > 1.001 * clip:
        raise PrivacyError("a per-example gradient of this model escapes its clip")


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


def shuffled(count: int, seed: int) -> Tensor:
    """A random order of `count` things: int64 [count]."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def random_half(count: int, seed: int) -> Tensor:
    """bool [count], about half of it True; never the whole of it."""
    return shuffled(count, seed) < count // 2


def replace(batch: Batch, other: Batch, replaced: Tensor) -> Batch:
    """The batch with the records of `other` where `replaced` (bool [b]) is True."""

    def pick(a: Tensor | None, b: Tensor | None) -> Tensor | None:
        if a is None or b is None:
            return None
        return torch.where(replaced.to(a.device).reshape(-1, *[1] * (a.ndim - 1)), b, a)

    return Batch(pick(batch.images, other.images), pick(batch.labels, other.labels), pick(batch.derived, other.derived))


def equal_rows(a: Tensor, b: Tensor, rows: Tensor, tolerance: float = 1e-4) -> bool:
    """Whether values agree in the rows where `rows` (bool [b]) is True, but for rounding.

    Args:
        a: [b, ...], dense or sparse.
        b: the same.
        rows: which ones.
        tolerance: relative to a value; a tenth of it relative to the largest.
    """
    if a.shape != b.shape or a.is_sparse != b.is_sparse:
        return False
    if not a.is_sparse:
        return _equal(a[rows], b[rows], tolerance)
    (places_a, a), (places_b, b) = (_entries(t, rows) for t in (a, b))
    return torch.equal(places_a, places_b) and _equal(a, b, tolerance)


def _entries(values: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """(places, entries) of some rows of a sparse tensor."""
    values = values.coalesce()
    chosen = rows[values.indices()[0]]
    return values.indices()[:, chosen], values.values()[chosen]


def _equal(a: Tensor, b: Tensor, tolerance: float) -> bool:
    if not a.is_floating_point():
        return torch.equal(a, b)
    scale = a.abs().nan_to_num(0, 0, 0).max().item() if a.numel() else 0.0
    return torch.allclose(a, b, rtol=tolerance, atol=0.1 * tolerance * scale, equal_nan=True)
