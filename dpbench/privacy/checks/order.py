"""Order-free losses: a record's value depends neither on its place in the batch nor on the draws of other rows.

A loss draws at random (noise levels, dropout, dropped labels). It is order-free if every row has its own draws and its
value depends only on its record and these draws. Then neither the other records in the batch nor the number of batches
matter to a record. A loss that is not order-free (null labels for the first tenth of the rows, weights by row, noise
levels spread evenly over the batch) needs a fixed number of slots; see `slots`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from dpbench.privacy.checks.record_flow import written

BASE_SEED = 2**31
"""First seed of the fresh draws."""


class MovedDraws(TorchDispatchMode):
    """Moves random draws with the rows that they belong to, and replaces all others by fresh ones.

    Row j of the batch is the former row `order[j]`. A draw whose first dimension is that of the rows (or a multiple of
    it: then each row has a block) gives row j the former draw of row `order[j]` if that row is kept, and a fresh one
    otherwise. Every other draw is fresh, because it belongs to no row.

    An operation whose draws depend on its inputs (`bernoulli`, dropout) is run on the rows in their former order, and
    its result is moved. The generators must be in the same state as before the former draws.

    Args:
        order: int64 [rows], a permutation.
        kept: bool [rows], indexed by former places.
    """

    def __init__(self, order: Tensor, kept: Tensor):
        super().__init__()
        self._order = order
        self._back = order.argsort()
        self._kept = kept[order]
        self._fresh = BASE_SEED

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        changed = list(written(func, args, kwargs))
        generator = _generator(args, kwargs, changed)
        start = generator.get_state()
        result = func(*_map(torch.clone, args), **_map(torch.clone, kwargs))
        if not torch.equal(start, generator.get_state()):  # else it drew nothing, such as attention without dropout
            generator.set_state(start)
            before = func(*_map(self._first_order, args), **_map(self._first_order, kwargs))
            after = generator.get_state()
            self._fresh += 1
            generator.manual_seed(self._fresh)
            fresh = func(*_map(torch.clone, args), **_map(torch.clone, kwargs))
            generator.set_state(after)
            result = tree_map(self._mix, before, fresh) if _is_row_by_row(func, args) else fresh
        if not changed:
            return result
        return changed[0].copy_(result)

    def _has_rows(self, tensor: Tensor) -> bool:
        return tensor.ndim > 0 and len(tensor) > 0 and len(tensor) % len(self._order) == 0

    def _moved(self, tensor: Tensor, order: Tensor) -> Tensor:
        rows = tensor.unflatten(0, (len(order), -1))
        return rows[order.to(tensor.device)].flatten(0, 1)

    def _first_order(self, tensor: Tensor) -> Tensor:
        return self._moved(tensor, self._back) if self._has_rows(tensor) else tensor.clone()

    def _mix(self, before: Any, fresh: Any) -> Any:
        if not isinstance(fresh, Tensor) or not self._has_rows(fresh):
            return fresh
        kept = self._kept.to(fresh.device).repeat_interleave(len(fresh) // len(self._kept))
        return torch.where(kept.reshape(-1, *[1] * (fresh.ndim - 1)), self._moved(before, self._order), fresh)


def _is_row_by_row(func: Any, args: Any) -> bool:
    """Whether an operation draws each row independently: no permutation, no sample without replacement."""
    name = func.overloadpacket.__name__
    return name != "randperm" and not (name == "multinomial" and args[0].ndim == 1)


def _map(change: Callable[[Tensor], Tensor], values: Any) -> Any:
    return tree_map(lambda value: change(value) if isinstance(value, Tensor) else value, values)


def _generator(args: Any, kwargs: Any, changed: list[Tensor]) -> torch.Generator:
    """The generator that an operation draws from."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, torch.Generator):
            return value
    tensors = [value for value in (*changed, *args) if isinstance(value, Tensor)]
    device = tensors[0].device if tensors else torch.device(kwargs.get("device") or "cpu")
    if device.type == "cuda":
        return torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index]
    return torch.default_generator
