"""Pickles of published datasets, read without running code that they may contain."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from dpbench.core.errors import DataError, reason

NUMPY = frozenset({
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
})  # fmt: skip
"""The names that pickles of numpy arrays refer to."""


class _Unpickler(pickle.Unpickler):
    allowed: frozenset[tuple[str, str]] = frozenset()

    def find_class(self, module: str, name: str) -> Any:
        """Refuses every name that is not allowed: it could be any function of any module."""
        if (module, name) not in self.allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


def read_pickle(path: Path, where: str, allowed: frozenset[tuple[str, str]] = frozenset()) -> Any:
    """The content of a pickle of lists, dictionaries, texts and numbers.

    Args:
        path: the file.
        where: advice if the file cannot be read.
        allowed: further (module, name) pairs that the pickle may refer to, e.g. `NUMPY`.

    Raises:
        DataError: the pickle is damaged, or refers to any other name; the message names the file.
    """
    try:
        with path.open("rb") as file:
            unpickler = _Unpickler(file, encoding="latin1")
            unpickler.allowed = allowed
            return unpickler.load()
    except Exception as error:  # a damaged pickle raises all kinds of errors
        raise DataError(f"{path} cannot be read ({reason(error)}); {where}") from error
