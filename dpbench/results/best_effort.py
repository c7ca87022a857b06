"""Pictures and cards are made on a best-effort basis: a name or a font that cannot be drawn fails no trial."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def best_effort(path: Path) -> Iterator[None]:
    """Turns any error of the block into a warning.

    Args:
        path: the file that the block writes.
    """
    try:
        yield
    except Exception as error:  # any error of a font or the drawing library
        warnings.warn(f"{path} is not written: {error or type(error).__name__}", stacklevel=3)
