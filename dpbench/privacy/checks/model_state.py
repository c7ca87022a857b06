"""What of a model must stay while it sees private records: its tensors during a pass, its layers between steps."""

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
    """Refuses a pass over records that puts other tensors into the model, or writes into those that are there.

    Tensors are compared by identity and by torch's count of writes. Writes through `.data` are not counted, so what is
    not trained is compared by a sum over its bits, too.

    Args:
        model: the model.
        what: the pass's name in the message.

    Raises:
        PrivacyError: names the parameter or buffer.
    """
    before = _state(model)
    yield
    after = _state(model)
    for name in before | after:
        if before.get(name) != after.get(name):
            raise PrivacyError(f"{what} changes '{name}': private batches may reach the model by dp_sgd alone")


class Layers:
    """The layers of a model as they were proved."""

    def __init__(self, model: nn.Module):
        self._model = model
        self._proved = list(model.named_modules())  # holds them, so that no other gets the identity of one
        self.modes = self._modes()

    def refuse_changes(self) -> None:
        """Refuses layers that were added, taken away or replaced since.

        Raises:
            PrivacyError: names one.
        """
        now, proved = dict(self._model.named_modules()), dict(self._proved)
        for name in proved | now:
            if proved.get(name) is not now.get(name):
                raise PrivacyError(
                    f"layer '{name}' of the model changed after dp_sgd was called; change it before, or call it again"
                )

    def modes_changed(self) -> bool:
        """Whether a layer was switched between train and eval since this was asked last."""
        before, self.modes = self.modes, self._modes()
        return before != self.modes

    def _modes(self) -> list[bool]:
        return [module.training for _, module in self._proved]


def _state(model: nn.Module) -> dict[str, tuple[int, ...]]:
    tensors = named_tensors(model)
    untrained = {name: _bits(t) for name, t in tensors.items() if not t.requires_grad}
    sums = dict(zip(untrained, torch.stack(list(untrained.values())).tolist(), strict=True)) if untrained else {}
    return {name: (id(t), t._version, sums.get(name, 0)) for name, t in tensors.items()}


@torch.no_grad()
def _bits(tensor: Tensor) -> Tensor:
    """Sum over a tensor's elements, read as whole numbers."""
    real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return real.contiguous().view(BITS[real.element_size()]).sum(dtype=torch.int64)
