"""Modules without a rule of their own: they run row by row, each row with its own copy of the parameters.

`vmap` over rows gives every copy the gradient of its row alone, whatever the module computes. It needs memory for one
gradient per row, but of these parameters only. Layers with a rule inside such a module keep their rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import parametrize
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from dpbench.core.errors import PrivacyError

CONTAINERS = (nn.ParameterList, nn.ParameterDict)
"""Modules that nobody calls: the module that holds them uses their parameters."""

Copies = Callable[[nn.Parameter, int], Tensor]
"""(parameter, n) -> [n, *parameter shape], one copy for each row."""


def users(model: nn.Module) -> dict[nn.Module, dict[str, nn.Parameter]]:
    """The modules that use trained parameters, each with those that it uses itself, by their names inside it."""
    inside = {
        part for module in model.modules() if _is_closed(module) for part in module.modules() if part is not module
    }
    found = {
        module: {name: p for name, p in _used_by(module) if p.requires_grad}
        for module in model.modules()
        if module not in inside and not isinstance(module, CONTAINERS)
    }
    return {module: own for module, own in found.items() if own}


def _is_closed(module: nn.Module) -> bool:
    """Whether a module uses the parameters of the modules inside it without calling them."""
    return isinstance(module, nn.MultiheadAttention) or parametrize.is_parametrized(module)


def _used_by(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    yield from module.named_parameters(recurse=_is_closed(module))
    for name, child in module.named_children():
        if isinstance(child, CONTAINERS):
            yield from child.named_parameters(name)


class RowByRow:
    """A module's forward under `vmap` over the rows of its inputs.

    The first tensor that the module is given has the rows in its first dimension, and so has every other tensor whose
    first dimension is as long; the rest are the same for all rows. The module sees one row at a time, in tensors of
    length 1, and must return tensors of that length.

    Args:
        module: runs row by row.
        without_rule: the modules without a rule and their parameters, this one among them. Those inside it run in its
            rows, so their parameters get copies as well.
    """

    def __init__(self, module: nn.Module, without_rule: Mapping[nn.Module, Mapping[str, nn.Parameter]]):
        self._plain = _Forward(module)
        self._name = type(module).__name__
        self._parameters = {
            ".".join(filter(None, ("module", path, name))): parameter
            for path, part in module.named_modules()
            for name, parameter in without_rule.get(part, {}).items()
        }

    def __call__(self, copies: Copies, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The module's result for all rows.

        Raises:
            PrivacyError: it is given or returns something without rows.
        """
        values, form = tree_flatten((args, kwargs))
        rows = next((len(v) for v in values if isinstance(v, Tensor) and v.ndim), None)
        if rows is None:
            raise PrivacyError(f"a {self._name} module with parameters of its own needs a batch as its argument")
        has_rows = [isinstance(v, Tensor) and v.ndim > 0 and len(v) == rows for v in values]
        batched = [v for v, yes in zip(values, has_rows, strict=True) if yes]
        output: Any = None

        def of_row(parameters: dict[str, Tensor], row: list[Tensor]) -> list[Tensor]:
            nonlocal output
            given = iter(row)
            filled = [next(given).unsqueeze(0) if yes else v for v, yes in zip(values, has_rows, strict=True)]
            args, kwargs = tree_unflatten(filled, form)
            returned = torch.func.functional_call(self._plain, parameters, args, kwargs, tie_weights=False)
            output = tree_map(lambda v: _ROWS if isinstance(v, Tensor) else v, returned)
            return [v for v in tree_flatten(returned)[0] if isinstance(v, Tensor)]

        own = {name: copies(parameter, rows) for name, parameter in self._parameters.items()}
        with sdpa_kernel(SDPBackend.MATH):  # the others have no batching rule
            results = torch.func.vmap(of_row, randomness="different")(own, batched)
        if any(r.ndim < 2 or r.shape[1] != 1 for r in results):
            raise PrivacyError(
                f"a {self._name} module with parameters of its own returns a tensor without rows; "
                "give every tensor that it returns the batch in its first dimension"
            )
        tensors = (r.flatten(0, 1) for r in results)
        return tree_map(lambda v: next(tensors) if v is _ROWS else v, output)


_ROWS = object()
"""Stands for a tensor in a module's result."""


class _Forward(nn.Module):
    """A module's forward, as a module so that `functional_call` can replace its parameters."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module
        self._forward = module.forward

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._forward(*args, **kwargs)
