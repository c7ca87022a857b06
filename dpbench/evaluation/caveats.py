"""Caveats of scores: warnings raised by metrics and recorded in the row.

A metric, or a function it calls, warns with `warnings.warn(text, Caveat)`; `collect_caveats` collects the texts.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


class Caveat(UserWarning):
    """A score was computed, but under conditions that limit its meaning."""


@contextmanager
def collect_caveats() -> Iterator[list[str]]:
    """A list that is filled with the texts of all caveats when the `with` block ends; other warnings are raised again.

    Not thread-safe: like `warnings.catch_warnings`, it changes the process-wide warning filters inside the block.
    """
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", Caveat)
        yield texts
    for warning in caught:
        if issubclass(warning.category, Caveat):
            texts.append(str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
