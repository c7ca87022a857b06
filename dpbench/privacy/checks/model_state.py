"""Checks that a model's tensors stay the same during a private pass, and its layers between steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from dpbench.core.errors import PrivacyError

BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def named_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


@contextmanager
def unchanged(model: nn.Module, what: str) -> Iterator[None]:
    """Refuses a pass over records that replaces tensors of the model or writes into them.

    Tensors are compared by identity and by torch's count of writes. Writes through `.data` are not counted, so tensors
    that are not trained are also compared by a sum over their bits.

    Args:
        model: the model.
        what: the pass's name in messages.

    Raises:
        PrivacyError: names the parameter or buffer.
    """
    before = _state(model)
    yield
    after = _state(model)
    for name in before | after:
        if before.get(name) != after.get(name):
            raise PrivacyError(f"{what} changes '{name}': only dp_sgd may bring private batches into a model")


class Layers:
    """The layers of a model at the time of the checks."""

    def __init__(self, model: nn.Module):
        self._model = model
        self._checked = list(model.named_modules())  # references keep identities from being reused
        self.modes = self._modes()

    def refuse_changes(self) -> None:
        """Refuses layers that were added, removed or replaced since the checks.

        Raises:
            PrivacyError: names such a layer.
        """
        now, checked = dict(self._model.named_modules()), dict(self._checked)
        for name in checked | now:
            if checked.get(name) is not now.get(name):
                raise PrivacyError(
                    f"layer '{name}' of the model changed after dp_sgd was called; change it before, or call it again"
                )

    def modes_changed(self) -> bool:
        """Whether a layer was switched between train and eval since the last call."""
        before, self.modes = self.modes, self._modes()
        return before != self.modes

    def _modes(self) -> list[bool]:
        return [module.training for _, module in self._checked]


def _state(model: nn.Module) -> dict[str, tuple[int, ...]]:
    tensors = named_tensors(model)
    untrained = {name: _bits(t) for name, t in tensors.items() if not t.requires_grad}
    sums = dict(zip(untrained, torch.stack(list(untrained.values())).tolist(), strict=True)) if untrained else {}
    return {name: (id(t), t._version, sums.get(name, 0)) for name, t in tensors.items()}


@torch.no_grad()
def _bits(tensor: Tensor) -> Tensor:
    """Sum over a tensor's elements, read as integers."""
    real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return real.contiguous().view(BITS[real.element_size()]).sum(dtype=torch.int64)
