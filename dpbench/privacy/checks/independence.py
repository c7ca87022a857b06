"""Checks on synthetic probe records that a computation treats records independently (rule R1).

Clipping bounds a record's contribution to a sum only if the record changes nothing else in it. The check replaces half
of a batch of probe records, then the other half, and compares the values of the records that stayed. Two calls find a
computation that mixes records over the batch, whatever its size. The check guards against mistakes, not malice.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrizations import _SpectralNorm

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.checks.guard import guarded
from dpbench.privacy.checks.probes import Probes
from dpbench.privacy.clipping import distinct_places
from dpbench.privacy.noise import global_randomness

LEAST = 4
"""Smallest number of records in a probe."""

SMALL = 64
"""Number of records in a small probe."""

Compute = Callable[[Batch], Tensor]
"""Batch of b records -> [b, ...]; the same in every call, including random draws."""


def check_closure(compute: Compute, probes: Probes, size: int, sampled: bool, what: str, device: str) -> Tensor:
    """Checks a closure on a small probe, and on one of the size of the batches that it will see.

    Args:
        compute: a `contribution`, or the closure of `derive`.
        probes: synthetic records.
        size: records per call.
        sampled: whether a record's place in the batch will depend on other records.
        what: the closure's name in messages.
        device: where its random draws are made.

    Returns:
        The values of the first `LEAST` probe records: [LEAST, ...].

    Raises:
        PrivacyError: it mixes records, depends on their places, or lets out something other than its result.
    """

    def same_draws(batch: Batch) -> Tensor:
        with global_randomness(0, device):
            return compute(batch)

    for records in (SMALL, max(LEAST, size)):
        probe, other = probes.take(records)
        values = guarded(same_draws, probe, what)
        check_shape(values, records, what)
        check_independent(same_draws, values, probe, other, what, halves=2 if records == SMALL else 1)
        if sampled:
            check_order_free(same_draws, values, probe, what)
    warn_if_not_finite(values, what)
    return values.index_select(0, torch.arange(LEAST, device=values.device))


def check_shape(values: Tensor, records: int, what: str) -> None:
    """Refuses values that are not one per record.

    Raises:
        PrivacyError: the first dimension is not that of the records.
    """
    if values.ndim == 0 or len(values) != records:
        raise PrivacyError(f"{what} must give one value per record: {records} records gave shape {tuple(values.shape)}")


def check_independent(
    compute: Compute, values: Tensor, probe: Batch, other: Batch, what: str, seed: int = 0, halves: int = 2
) -> None:
    """Replaces about half of `probe` by records of `other`, then the rest, and compares the values of the others.

    Args:
        compute: the computation.
        values: the values of `probe`.
        probe: synthetic records.
        other: as many other records.
        what: the computation's name in messages.
        seed: chooses the halves.
        halves: 2, or 1 to replace the first half only.

    Raises:
        PrivacyError: one record's value depends on another record, or on something that changes between calls.
    """
    half = random_half(len(probe), seed).to(values.device)
    for replaced in (half, ~half)[:halves]:
        if not equal_rows(values, compute(replace(probe, other, replaced)), ~replaced):
            if not equal_rows(values, compute(probe), ~replaced):
                raise PrivacyError(
                    f"{what} gives different values for the same records; draw from the generator it is given"
                )
            raise PrivacyError(f"{what} mixes records: changing one changes another's value")


def check_order_free(compute: Compute, values: Tensor, probe: Batch, what: str) -> None:
    """Refuses values that depend on a record's place: in a Poisson sample, a record's place depends on the others.

    Args:
        compute: the computation.
        values: the values of `probe`.
        probe: synthetic records.
        what: the computation's name in messages.

    Raises:
        PrivacyError: the records have different values in another order.
    """
    order = shuffled(len(probe), 0).to(values.device)
    moved = compute(probe.select(order))
    back = order.argsort()
    if not equal_rows(values, moved.index_select(0, back), torch.ones_like(order, dtype=torch.bool)):
        raise PrivacyError(f"{what} depends on a record's place in the batch, which other records decide")


def check_layers(model: nn.Module) -> None:
    """Refuses layers that use batch statistics, or write into themselves, in the model's current mode (train or eval).

    Raises:
        PrivacyError: names the layer.
    """
    for name, module in model.named_modules():
        if module.training and isinstance(module, _SpectralNorm):
            layer = name.partition(".parametrizations")[0]
            raise PrivacyError(
                f"layer '{layer}' updates its spectral norm in every pass; call parametrizations.eval() of it for "
                "private steps, and update it between them"
            )
        running = getattr(module, "track_running_stats", False)
        if module.training and (isinstance(module, _BatchNorm) or running):
            raise PrivacyError(f"layer '{name}' ({type(module).__name__}) mixes records; use GroupNorm or LayerNorm")


def warn_if_not_finite(values: Tensor, what: str, frames: int = 4) -> None:
    """Warns about the share of synthetic records that would count as zero.

    Args:
        values: [b, ...], dense or sparse.
        what: the closure's name in the message.
        frames: calls from here up to the line of the method that the warning points to.

    Warns:
        UserWarning: some values are not finite.
    """
    finite = (distinct_places(values).values() if values.is_sparse else values).isfinite()
    if not finite.all():
        share = 1 - float(finite.reshape(len(finite), -1).all(1).float().mean())
        warnings.warn(
            f"{what} is not finite for {share:.0%} of synthetic probe records, and such records count as zero; a "
            "likely cause is an overflow in fp16 or bf16, or a division by the spread of a flat image",
            stacklevel=frames,
        )


def shuffled(count: int, seed: int) -> Tensor:
    """A random permutation: int64 [count]."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def random_half(count: int, seed: int) -> Tensor:
    """bool [count], half of it True, rounded down."""
    return shuffled(count, seed) < count // 2


def replace(batch: Batch, other: Batch, replaced: Tensor) -> Batch:
    """The batch with the records of `other` where `replaced` (bool [b]) is True."""

    def pick(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(replaced.to(a.device).reshape(-1, *[1] * (a.ndim - 1)), b, a)

    return batch.map(pick, other)


def equal_rows(a: Tensor, b: Tensor, rows: Tensor, tolerance: float = 1e-4) -> bool:
    """Whether values agree, up to rounding, in the rows where `rows` (bool [b]) is True.

    Args:
        a: [b, ...], dense or sparse.
        b: the same.
        rows: bool [b].
        tolerance: relative to each value, plus a tenth of it relative to the largest value.
    """
    if a.shape != b.shape or a.is_sparse != b.is_sparse:
        return False
    if not a.is_sparse:
        return _equal(a[rows], b[rows], tolerance)
    (places_a, a), (places_b, b) = (_entries(t, rows) for t in (a, b))
    return torch.equal(places_a, places_b) and _equal(a, b, tolerance)


def _entries(values: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """(places, entries) of some rows of a sparse tensor."""
    values = distinct_places(values)
    chosen = rows[values.indices()[0]]
    return values.indices()[:, chosen], values.values()[chosen]


def _equal(a: Tensor, b: Tensor, tolerance: float) -> bool:
    if not a.is_floating_point():
        return torch.equal(a, b)
    scale = a.abs().nan_to_num(0, 0, 0).max().item() if a.numel() else 0.0
    return torch.allclose(a, b, rtol=tolerance, atol=0.1 * tolerance * scale, equal_nan=True)
