"""Tracks which tensors depend on records while a closure runs, and refuses reads and writes that let them out.

Dependence is followed from operation to operation. Only torch's operations and `Tensor`'s methods are seen: not kernels
that take a bare pointer (Triton, ctypes), and not other threads.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Iterator
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

READS = {
    *("item", "tolist", "numpy", "__array__", "__dlpack__", "__bool__", "__int__", "__float__", "__complex__"),
    *("__index__", "__contains__", "__repr__", "__format__", "__deepcopy__", "__reduce_ex__", "untyped_storage"),
    *("share_memory_", "equal", "allclose"),
}
"""Methods of `Tensor` that pass values out of torch."""

SHAPES_ONLY = {
    *("empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like", "randint_like"),
    *("new_empty", "new_zeros", "new_ones", "new_full", "new_empty_strided"),
}
"""Operations whose result depends only on the shape of their input."""

COPIES = {torch.tensor, torch.as_tensor, torch.asarray}
"""Functions that copy the elements of a list of tensors without a visible operation."""


WORKER_SECONDS = 0.5
"""Longest wait for autograd's worker threads to release a backward pass that has finished."""


def autograd_has_workers() -> bool:
    """Whether backward passes may run on autograd's worker threads: it has one per GPU, and none for the CPU."""
    return torch.cuda.is_initialized() or torch.backends.mps.is_available()


class RecordFlow(TorchDispatchMode):
    """Tracks the tensors that depend on records, below autograd, and refuses to let their values out.

    Tensors are identified by the memory that they share with their views. A weak reference keeps a storage's address
    from being reused.

    Args:
        what: the closure's name in messages.
        model: the model whose parameters and buffers messages name.

    Attributes:
        refusal: the first refusal, even if the closure caught it.
    """

    def __init__(self, what: str, model: nn.Module | None):
        super().__init__()
        self.what = what
        self.refusal: PrivacyError | None = None
        self.checking = True
        self._model = model
        self._made: dict[int, StorageWeakRef] = {}
        self._private: dict[int, str] = {}  # storages that depend on records, and where they were made

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

    def made(self, tensor: Tensor) -> None:
        """Notes a tensor that was made during the call by a function whose allocation is not seen."""
        self._add(tensor, None)

    def refuse(self, problem: str, advice: str) -> None:
        """Raises `PrivacyError` for the line under execution, and remembers it."""
        self.refusal = self.refusal or PrivacyError(f"{self.what} {problem} at {here()}; {advice}")
        raise self.refusal

    def refuse_read(self, how: str) -> None:
        """Raises `PrivacyError` because Python reads a value."""
        if self.checking:
            self.refuse(
                f"reads a value that depends on records ({how})", "keep decisions inside tensors, e.g. by torch.where"
            )

    def refuse_kept(self) -> None:
        """Raises `PrivacyError` if a tensor that depends on records is still alive.

        A worker thread of autograd may still hold a backward pass that has returned, until it gets the interpreter
        lock. It is given `WORKER_SECONDS` for that; a tensor that somebody keeps is still alive afterwards.
        """
        if self._alive():
            gc.collect()
        if autograd_has_workers():
            deadline = time.monotonic() + WORKER_SECONDS
            while self._alive() and time.monotonic() < deadline:
                time.sleep(0.01)  # releases the interpreter lock
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
        """Records a tensor made during the call; with a note, it also depends on records."""
        for storage in _storages(tensor):
            if storage._cdata not in self._made:
                self._made[storage._cdata] = StorageWeakRef(storage)
            if note is not None:
                self._private.setdefault(storage._cdata, note)
        return tensor

    def _alive(self) -> list[str]:
        """Notes on where each tensor was made that depends on records and is still referenced."""
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
            "only dp_sgd may bring private batches into a model, and only noisy_sum into anything else",
        )


class MethodReads(TorchFunctionMode):
    """Detects methods that pass values to Python without an operation of torch."""

    def __init__(self, flow: RecordFlow):
        super().__init__()
        self._flow = flow

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, flow = kwargs or {}, self._flow
        name = getattr(func, "__name__", "")
        if name in READS and flow.depends((args, kwargs)):
            flow.refuse_read(name.strip("_"))
        if func is torch.nn.functional.one_hot:
            number = args[1] if args[1:] else kwargs.get("num_classes", -1)
            if number == -1 and flow.depends((args, kwargs)):
                flow.refuse("reads a value that depends on records (the number of classes)", "give one_hot num_classes")
            return self._trusted(func, args, kwargs)
        result = func(*args, **kwargs)
        if func is torch.tensor:  # always allocates, unseen by the dispatch mode
            flow.made(result)
        if func in COPIES and flow.depends((args, kwargs)):
            flow.mark([result])
        return result

    def _trusted(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Runs a torch function that reads values only to refuse invalid ones."""
        self._flow.checking = False
        try:
            return func(*args, **kwargs)
        finally:
            self._flow.checking = True


def tensors_in(values: Any) -> list[Tensor]:
    """The tensors in tuples, lists and dicts of any depth; torch's pytrees are several times slower."""
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
    """Whether an operation's result, or its size, depends on values."""
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
