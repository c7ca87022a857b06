"""While a method works, no test split opens, and the sensitive dataset opens for nobody (rule R1, section 5).

What a method may learn from reaches it through `PrivateData` and as public images. While it is made, plans or hands
over its state, no dataset opens at all: `Method` itself sees to that, whoever calls it, and however often. The seal
catches a method that opens a dataset by itself, by mistake or to look good; like the doors of `PrivateData` it does not
stop one that reads the files with code of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dpbench.core.errors import PrivacyError

if TYPE_CHECKING:
    from dpbench.core.data import Dataset

_sealed: list[Dataset | None] = []  # of the whole process: threads and forked workers are under it, too


@contextmanager
def sealed(sensitive: Dataset | None) -> Iterator[None]:
    """Closes the sensitive dataset, and every test split, until the block is left; `None` closes every dataset."""
    _sealed.append(sensitive)
    try:
        yield
    finally:
        _sealed.pop()


def opens_nothing(call: Callable[..., Any]) -> Callable[..., Any]:
    """The same call, every dataset being closed until it returns."""

    @functools.wraps(call)
    def under_seal(*arguments: Any, **options: Any) -> Any:
        with sealed(None):
            return call(*arguments, **options)

    return under_seal


def guarded(split: str, opens: Callable[..., Any]) -> Callable[..., Any]:
    """The method that opens a split of a dataset, refusing to while a seal is on it.

    Raises:
        PrivacyError: when it is called under a seal.
    """

    @functools.wraps(opens)
    def guard(dataset: Dataset) -> Any:
        for sensitive in _sealed:
            if sensitive is None:
                raise PrivacyError(
                    "no dataset opens while a method is made, plans or hands over its state; what it may know of its "
                    "dataset is `spec`"
                )
            if split == "test":
                raise PrivacyError("no test split opens while a method works: it is for the evaluator, after sampling")
            if type(dataset) is type(sensitive) and dataset.overlap(dataset.argument, sensitive.argument):
                raise PrivacyError("the sensitive dataset opens for nobody while a method works; use `private`")
        return opens(dataset)

    return guard
