"""Runs closures under a guard that refuses every way out of them except their result (rule R1).

A `contribution`, a `loss` or the closure of `derive` sees private records. Its result is clipped and noised, or stays
in the vault; anything else that leaves it would be released without noise. Three ways out are refused:

* Python reads a value that depends on records: `item()`, `bool()`, `tolist()`, `numpy()`, `print`, or a tensor whose
  size depends on values (`nonzero`, `x[mask]`). Python could count it, show it, or branch on it;
* a tensor that is older than the call is written: a buffer, a parameter, a table kept outside;
* a tensor that depends on records is still alive after the call and its result are gone: somebody kept it.

The guard finds mistakes, not malice. It sees neither how long a call takes, nor how often it is made, nor code that
synthetic records do not reach; see `record_flow` for the operations that it sees.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dpbench.core.specs import Batch
from dpbench.privacy.checks.record_flow import MethodReads, RecordFlow
from dpbench.privacy.gradients.engine import Loss


def guarded(closure: Callable[[Batch], Tensor], records: Batch, what: str, model: nn.Module | None = None) -> Tensor:
    """The values that `closure` returns for synthetic probe records; nothing else that depends on them may leave it.

    Args:
        closure: a computation on records, as it will be called on private ones.
        records: synthetic; the closure gets a copy.
        what: the closure's name in messages.
        model: the model whose parameters and buffers messages name.

    Raises:
        PrivacyError: something left the closure; the message says what, where, and what to do about it.
    """
    flow = RecordFlow(what, model)
    own = records.map(Tensor.clone)
    flow.follow(own)
    with flow, MethodReads(flow):
        values = closure(own)
    result = values.detach().clone()
    del values, own
    if flow.refusal:  # the closure caught it
        raise flow.refusal
    flow.refuse_kept()
    return result


class WatchedLoss:
    """A loss whose first call in every step is guarded on the private records themselves.

    The checks on synthetic records run at some steps only; this guard sees what a loss does every hundredth step. The
    backward pass is not guarded.

    Args:
        model: the model that the loss is called with.
        loss: see `gradients.Loss`.
        what: the loss's name in messages.
    """

    def __init__(self, model: nn.Module, loss: Loss, what: str):
        self._model = model
        self._loss = loss
        self._what = what
        self._due = False
        self._flow: RecordFlow | None = None

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """See `gradients.Loss`."""
        if not self._due or _is_vectorised(batch):
            return self._loss(model, batch, generator)
        self._due = False
        self._flow = RecordFlow(self._what, self._model)
        own = batch.map(Tensor.clone)
        self._flow.follow(own)
        with self._flow, MethodReads(self._flow):
            values = self._loss(model, own, generator)
        if self._flow.refusal:
            raise self._flow.refusal
        return values

    def watch_next(self) -> None:
        """Guards the next call."""
        self._due = True

    def refuse_kept(self) -> None:
        """To be called after the guarded call and everything that uses its values.

        Raises:
            PrivacyError: a tensor that depends on records is still alive.
        """
        if self._flow is not None:
            self._flow.refuse_kept()
            self._flow = None


def _is_vectorised(batch: Batch) -> bool:
    """Whether torch.func runs the loss, which gives it one record at a time and no values to Python."""
    return any(torch._C._functorch.is_functorch_wrapped_tensor(tensor) for tensor in batch.tensors.values())
