"""Watches a closure run on made-up records, and refuses ways out of it other than what it returns (rule R1).

A `contribution`, a `loss` or what `derive` is given sees private records. What it returns is clipped and noised, or
stays in the vault; whatever else leaves it is released for nothing. Three ways are refused:

* a value that depends on records is read by Python: `item()`, `bool()`, `tolist()`, `numpy()`, `print`, or a tensor
  whose size depends on values (`nonzero`, `x[mask]`). Python can count it, show it, or decide by it;
* a tensor that is older than the call is written: a buffer, a parameter, a table kept outside;
* a tensor that depends on records is still alive after the call and its result are gone: somebody kept it.

Which tensors depend on records is followed from operation to operation, by their memory.

Where the line is: this finds mistakes, not malice. It sees torch's operations and `Tensor`'s methods. It does not see
kernels that are handed a bare pointer (Triton, ctypes), what other threads do, how long a call takes, how often it is
made, and code that made-up records do not reach.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.checks.model_state import named_tensors
from dpbench.privacy.checks.source_location import here
from dpbench.privacy.gradients.engine import Loss

READS = {
    *("item", "tolist", "numpy", "__array__", "__dlpack__", "__bool__", "__int__", "__float__", "__complex__"),
    *("__index__", "__contains__", "__repr__", "__format__", "__deepcopy__", "__reduce_ex__", "untyped_storage"),
    *("share_memory_", "equal", "allclose"),
}
"""Methods of `Tensor` by which values get out of torch."""

SHAPES_ONLY = {
    *("empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like", "randint_like"),
    *("new_empty", "new_zeros", "new_ones", "new_full", "new_empty_strided"),
}
"""Operations whose result says no more of their input than its shape."""

COPIES = {torch.tensor, torch.as_tensor, torch.asarray}
"""Functions that copy the elements of a list of tensors without an operation that could be seen."""


def guarded(closure: Callable[[Batch], Tensor], records: Batch, what: str, model: nn.Module | None = None) -> Tensor:
    """What `closure` makes of made-up records, on condition that nothing else of them leaves it.

    Args:
        closure: a computation on records, as it will see private ones.
        records: made-up; the closure gets a copy.
        what: the closure's name in the message.
        model: whose parameters and buffers the message should call by name.

    Raises:
        PrivacyError: says what left the closure, where, and what to do about it.
    """
    watch = _Watch(what, model)
    own = records.map(Tensor.clone)
    watch.follow(own)
    with watch, _Methods(watch):
        values = closure(own)
    result = values.detach().clone()
    del values, own
    if watch.refusal:  # and the closure caught it
        raise watch.refusal
    watch.refuse_kept()
    return result


class WatchedLoss:
    """A loss whose first call of every step is watched on the private records themselves.

    Proofs on made-up records fall on some steps only; what a loss does every hundredth step is seen here. The backward
    pass is not watched.

    Args:
        model: the model that it is called with.
        loss: see `gradients.Loss`.
        what: the loss's name in messages.
    """

    def __init__(self, model: nn.Module, loss: Loss, what: str):
        self._model = model
        self._loss = loss
        self._what = what
        self._due = False
        self._watch: _Watch | None = None

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """See `gradients.Loss`."""
        if not self._due or _is_vectorised(batch):
            return self._loss(model, batch, generator)
        self._due = False
        self._watch = _Watch(self._what, self._model)
        own = batch.map(Tensor.clone)
        self._watch.follow(own)
        with self._watch, _Methods(self._watch):
            values = self._loss(model, own, generator)
        if self._watch.refusal:
            raise self._watch.refusal
        return values

    def watch_next(self) -> None:
        """Has the next call watched."""
        self._due = True

    def refuse_kept(self) -> None:
        """To be called when everything that the watched call led to is done.

        Raises:
            PrivacyError: a tensor that depends on records is still alive.
        """
        if self._watch is not None:
            self._watch.refuse_kept()
            self._watch = None


def _is_vectorised(batch: Batch) -> bool:
    """Whether torch.func runs the loss: on one record at a time, and without giving values to Python."""
    return any(torch._C._functorch.is_functorch_wrapped_tensor(tensor) for tensor in batch.tensors.values())


class _Watch(TorchDispatchMode):
    """Follows what depends on records through torch's operations, below autograd.

    Tensors are known by the memory that they share with their views. A weak reference keeps a storage's address from
    being given to another one.
    """

    def __init__(self, what: str, model: nn.Module | None):
        super().__init__()
        self.what = what
        self.refusal: PrivacyError | None = None
        self.checking = True
        self._model = model
        self._made: dict[int, StorageWeakRef] = {}
        self._private: dict[int, str] = {}  # those that depend on records, and where they were made

    def follow(self, records: Batch) -> None:
        """Marks the records that the closure is given."""
        records.map(lambda t: self._add(t, "it is the batch itself"))

    def depends(self, values: Any) -> bool:
        """Whether a tensor among the values depends on records."""
        return any(address in self._private for address in _addresses(tensors_in(values)))

    def mark(self, values: Any) -> None:
        """Notes that the tensors among the values depend on records."""
        for tensor in tensors_in(values):
            self._add(tensor, f"made at {here()}")

    def refuse(self, problem: str, advice: str) -> None:
        """Raises what is wrong with the line under execution, and remembers it."""
        self.refusal = self.refusal or PrivacyError(f"{self.what} {problem} at {here()}; {advice}")
        raise self.refusal

    def refuse_read(self, how: str) -> None:
        """Raises that Python reads a value."""
        if self.checking:
            self.refuse(
                f"reads a value that depends on records ({how})", "keep decisions inside tensors, e.g. by torch.where"
            )

    def refuse_kept(self) -> None:
        """Raises if a tensor that depends on records is still alive."""
        if self._alive():
            gc.collect()
        if alive := self._alive():
            raise PrivacyError(
                f"{self.what} keeps a tensor that depends on records after the call ({alive[0]}); return it or drop it"
            )

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunction():
            given = set(_addresses(tensors_in((args, kwargs))))
            private = not self._private.keys().isdisjoint(given)
            if private and _reads(func) and self._reads_records(func, args):
                self.refuse_read(func.overloadpacket.__name__)
            changed = list(written(func, args, kwargs))
            for tensor in changed:
                if not all(address in self._made for address in _addresses([tensor])):
                    self._refuse_write(func, tensor)
            result = func(*args, **kwargs)
            changed += [t for t in tensors_in((result,)) if given.isdisjoint(_addresses([t]))]
            note = f"made at {here()}" if private and func.overloadpacket.__name__ not in SHAPES_ONLY else None
            for tensor in changed:
                self._add(tensor, note)
            return result

    def _add(self, tensor: Tensor, note: str | None) -> Tensor:
        """Notes a tensor that was made during the call, and, with a note, that it depends on records."""
        for storage in _storages(tensor):
            if storage._cdata not in self._made:
                self._made[storage._cdata] = StorageWeakRef(storage)
            if note is not None:
                self._private.setdefault(storage._cdata, note)
        return tensor

    def _alive(self) -> list[str]:
        """Where those that depend on records and are still held by somebody were made."""
        return [note for address, note in self._private.items() if not self._made[address].expired()]

    def _reads_records(self, func: Any, args: Any) -> bool:
        if func is not torch.ops.aten.index.Tensor:
            return True
        return self.depends([i for i in args[1] if i is not None and i.dtype in (torch.bool, torch.uint8)])

    def _refuse_write(self, func: Any, tensor: Tensor) -> None:
        own = named_tensors(self._model) if self._model is not None else {}
        written_to = set(_addresses([tensor]))
        name = next((name for name, t in own.items() if not written_to.isdisjoint(_addresses([t]))), None)
        changed = f"changes '{name}'" if name else "writes into a tensor that is older than the call"
        self.refuse(
            f"{changed} ({func.overloadpacket.__name__})",
            "private batches may reach a model by dp_sgd alone and anything else by noisy_sum",
        )


class _Methods(TorchFunctionMode):
    """Sees what passes by torch's operations: methods that hand values to Python directly."""

    def __init__(self, watch: _Watch):
        super().__init__()
        self._watch = watch

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, watch = kwargs or {}, self._watch
        name = getattr(func, "__name__", "")
        if name in READS and watch.depends((args, kwargs)):
            watch.refuse_read(name.strip("_"))
        if func is torch.nn.functional.one_hot and (args[1:] or kwargs.get("num_classes", -1) != -1):
            return self._trusted(func, args, kwargs)
        result = func(*args, **kwargs)
        if func in COPIES and watch.depends((args, kwargs)):
            watch.mark([result])
        return result

    def _trusted(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Runs a function of torch that reads values only to refuse impossible ones."""
        self._watch.checking = False
        try:
            return func(*args, **kwargs)
        finally:
            self._watch.checking = True


def tensors_in(values: Any) -> list[Tensor]:
    """The tensors in tuples, lists and dicts of any depth; torch's pytrees take several times as long."""
    found: list[Tensor] = []
    for value in values.values() if isinstance(values, dict) else values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, tuple | list | dict):
            found += tensors_in(value)
    return found


def _addresses(tensors: Iterable[Tensor]) -> Iterator[int]:
    return (storage._cdata for tensor in tensors for storage in _storages(tensor))


def _storages(tensor: Tensor) -> Iterator[torch.UntypedStorage]:
    if tensor.layout is torch.strided:
        yield tensor.untyped_storage()
    elif tensor.layout is torch.sparse_coo:
        yield tensor._indices().untyped_storage()
        yield tensor._values().untyped_storage()
    else:
        yield tensor.values().untyped_storage()


@cache
def _reads(func: Any) -> bool:
    """Whether an operation's result, or its size, is decided by values."""
    tags = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
    return not tags.isdisjoint(func.tags) or func.overloadpacket.__name__ == "_linalg_check_errors"


def written(func: Any, args: Any, kwargs: Any) -> Iterator[Tensor]:
    """The arguments that an operation writes into."""
    for position, name in _writes(func):
        value = args[position] if position < len(args) else kwargs.get(name)
        yield from tensors_in([value])


@cache
def _writes(func: Any) -> list[tuple[int, str]]:
    arguments = enumerate(func._schema.arguments)
    return [(i, a.name) for i, a in arguments if a.alias_info is not None and a.alias_info.is_write]
