"""State that a method keeps on its classes and modules: the next trial in the same process would start with it.

`prepare` may keep anything there, since it sees only public data. State that `fit` and `sample` keep there depends on
private data under one budget, and would reach a trial under another.
"""

from __future__ import annotations

import hashlib
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from types import CellType, FunctionType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dpbench.core.errors import FOREIGN, PrivacyError, RunError

State = Mapping[str, str]
"""Name of a class attribute, a module variable or a function -> hash of its value."""


class SharedStateChanged(PrivacyError, RunError):
    """State that all instances of a plugin share now depends on private data: no trial may follow in this process."""


def shared_state(plugin: type) -> State:
    """The state that all instances of a plugin share: variables of its modules, class attributes and functions.

    Its modules are those of its classes and, for a package outside dpbench, all modules of the package. Containers,
    closures, networks and objects of the plugin's own classes are followed. State of other modules and of C code is not
    seen.
    """
    modules = _modules(plugin)
    state: dict[str, str] = {}
    for module in filter(None, map(sys.modules.get, sorted(modules))):
        for name, value in vars(module).items():
            if isinstance(value, type):
                if value.__module__ == module.__name__:
                    own = {key: v for key, v in vars(value).items() if _is_named(key)}
                    state |= {f"{name}.{key}": _hash(v, modules) for key, v in own.items()}
            elif _is_named(name) and not isinstance(value, ModuleType):
                state[f"{module.__name__}.{name}"] = _hash(value, modules)
    return state


@cache
def _modules(plugin: type) -> set[str]:
    """The modules of a plugin's classes and, outside dpbench, all modules of its package.

    Only modules imported before the first call count: imports in `fit` are not changes.
    """
    own = {cls.__module__ for cls in plugin.__mro__} - {"builtins", "abc", "typing", "dpbench.core.method"}
    package = plugin.__module__.partition(".")[0]
    if package == "dpbench":
        return own
    return own | {name for name in list(sys.modules) if name.partition(".")[0] == package}


@contextmanager
def unchanged(plugin: type) -> Iterator[None]:
    """Refuses changes to the shared state of a plugin while the block runs (`fit` or `sample`).

    Raises:
        SharedStateChanged: names what changed, even if the block fails.
    """
    before = shared_state(plugin)
    try:
        yield
    except FOREIGN as error:
        _refuse_changes(plugin, before, f" (before that it failed: {type(error).__name__}: {error})")
        raise
    _refuse_changes(plugin, before)


def _refuse_changes(plugin: type, before: State, circumstances: str = "") -> None:
    after = shared_state(plugin)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if changed:
        raise SharedStateChanged(
            f"fit or sample of {plugin.__name__} changed {', '.join(changed)}, which the next trial would start with; "
            f"keep it on self{circumstances}"
        )


def _is_named(name: str) -> bool:
    return not (name.startswith("__") and name.endswith("__")) and name != "_abc_impl"


def _hash(value: Any, modules: set[str]) -> str:
    """A hash of a value and of everything that it references, each object once."""
    digest, seen, todo = hashlib.sha256(), set[int](), [value]
    while todo:
        item = todo.pop()
        digest.update(type(item).__qualname__.encode())
        if isinstance(item, bytes):
            digest.update(item)
        elif item is None or isinstance(item, bool | int | float | complex | str | type):
            digest.update(repr(item).encode())
        elif id(item) not in seen:
            seen.add(id(item))
            todo += _parts(item, modules)
    return digest.hexdigest()


def _parts(value: Any, modules: set[str]) -> Iterable[Any]:
    """The parts of an object's state: bytes, plain values and further objects; none for objects of other packages."""
    if isinstance(value, Tensor):
        dense = value.detach().to_dense().cpu().contiguous()
        return [repr(dense.shape), repr(dense.dtype), dense.flatten().view(torch.uint8).numpy().tobytes()]
    if isinstance(value, np.ndarray):
        return [repr(value.shape), repr(value.dtype), np.ascontiguousarray(value).tobytes()]
    if isinstance(value, torch.Generator):
        return [value.get_state()]
    if isinstance(value, Mapping):
        return [part for item in value.items() for part in item]
    if isinstance(value, set | frozenset):
        return sorted(_hash(item, modules) for item in value)
    if isinstance(value, list | tuple | deque):
        return list(value)
    if isinstance(value, FunctionType):
        if value.__module__ not in modules:
            return []
        return [value.__code__.co_code, value.__defaults__, value.__kwdefaults__, value.__dict__, value.__closure__]
    if isinstance(value, CellType):
        return [] if value == CellType() else [value.cell_contents]
    if isinstance(value, classmethod | staticmethod):
        return [value.__func__]
    if isinstance(value, property):
        return [value.fget, value.fset]
    if isinstance(value, nn.Module | SimpleNamespace) or type(value).__module__ in modules:
        return [getattr(value, "__dict__", None)]
    return []
