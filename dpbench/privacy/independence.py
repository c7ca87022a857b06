"""Proof on random images that a computation treats records independently (rule R1).

Clipping bounds what a record adds to a sum only if the record changes nothing else in it. The check replaces one record
of a small batch of random images (no private data is touched) and compares all the others' values. It guards against
mistakes, not malice.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch, DatasetSpec

PROBES = 4


def random_records(spec: DatasetSpec, seed: int) -> Batch:
    """`PROBES` records of uniformly random pixels and labels, of the declared shape."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (PROBES, *spec.shape), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, spec.n_classes, (PROBES,), generator=generator) if spec.n_classes else None
    return Batch(images, labels)


def check_independent(compute: Callable[[Batch], Tensor], probe: Batch, other: Batch, what: str) -> None:
    """Replaces each record of `probe` by that of `other` in turn, and compares the other records' values.

    Args:
        compute: batch of b records -> [b, ...].
        what: the computation's name in the message.

    Raises:
        PrivacyError: the first dimension is not the records', or one record's value depends on another record or on
            something that changes between calls.
    """
    values = _evaluate(compute, probe)
    if values.ndim == 0 or len(values) != len(probe):
        raise PrivacyError(
            f"{what} must give one value per record: {len(probe)} records made shape {tuple(values.shape)}"
        )
    if not _equal(values, _evaluate(compute, probe)):
        raise PrivacyError(f"{what} gives different values for the same records; draw from the generator it is given")
    for i in range(len(probe)):
        others = torch.arange(len(probe)) != i
        changed = _evaluate(compute, _replace(probe, other, i))
        if not _equal(values[others], changed[others]):
            raise PrivacyError(f"{what} mixes records: changing one changes another's value")


def check_order_free(compute: Callable[[Batch], Tensor], probe: Batch, what: str) -> None:
    """Refuses values that depend on a record's place: in a Poisson sample one record decides about the others' places.

    Raises:
        PrivacyError: the records in reverse order do not have the same values in reverse order.
    """
    if not _equal(_evaluate(compute, probe).flip(0), _evaluate(compute, probe.map(lambda t: t.flip(0)))):
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


def check_model(model: nn.Module, run_loss: Callable[[], object]) -> None:
    """Refuses models that learn from the batch other than by their gradients.

    Raises:
        PrivacyError: names the layer, buffer or parameter.
    """

    def tensors() -> dict[str, Tensor]:
        return {**dict(model.named_parameters()), **dict(model.named_buffers())}

    check_layers(model)
    before = {name: tensor.detach().clone() for name, tensor in tensors().items()}
    run_loss()
    for name, tensor in tensors().items():
        if name not in before or not torch.equal(before[name], tensor):
            raise PrivacyError(f"the loss changes '{name}': private batches may reach the model only by dp_sgd")


def _evaluate(compute: Callable[[Batch], Tensor], batch: Batch) -> Tensor:
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)  # dropout and the like: the same draws for every batch
        values = compute(batch)
    return values.to_dense() if values.is_sparse else values


def _replace(batch: Batch, other: Batch, i: int) -> Batch:
    def pick(a: Tensor | None, b: Tensor | None) -> Tensor | None:
        return None if a is None or b is None else torch.cat([a[:i], b[i : i + 1], a[i + 1 :]])

    return Batch(pick(batch.images, other.images), pick(batch.labels, other.labels), pick(batch.derived, other.derived))


def _equal(a: Tensor, b: Tensor) -> bool:
    if not a.is_floating_point():
        return torch.equal(a, b)
    scale = a.abs().nan_to_num(0, 0, 0).max().item() if a.numel() else 0.0
    return torch.allclose(a, b, rtol=1e-4, atol=1e-5 * scale, equal_nan=True)
