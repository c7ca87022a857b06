"""What a reader of a score has to know, said where it is noticed and collected where the row is written.

A metric, or a function it calls, warns with the ordinary `warnings.warn(text, Caveat)`; `collect` gathers the texts.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


class Caveat(UserWarning):
    """A score was computed, but under conditions that make it say less than it seems to."""


@contextmanager
def collect() -> Iterator[list[str]]:
    """A list that holds the texts of all caveats given inside the `with` block once it is left; other warnings pass."""
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", Caveat)
        yield texts
    for warning in caught:
        if issubclass(warning.category, Caveat):
            texts.append(str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
