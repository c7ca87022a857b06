"""While a method works, the sensitive dataset and every test split are closed (rule R1, protocol of section 5).

A method learns from `PrivateData` and from public images. The seal catches a method that opens a dataset by itself, by
mistake or to get better numbers. It does not stop a method that reads the files with code of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from dpbench.core.errors import PrivacyError
from dpbench.core.folders import nested

Split = Literal["train", "test"]


class Sealed(Protocol):
    """The part of a dataset plugin that the seal uses; see `core.data.Dataset`."""

    argument: str
    folder: Path | None

    @classmethod
    def overlap(cls, argument: str, other: str) -> bool:
        """Whether two arguments name some of the same images."""

    @classmethod
    def collections(cls, argument: str) -> frozenset[str]:
        """The collections of images that an argument's images come from."""


def share_images(one: type[Sealed], argument: str, other: type[Sealed], other_argument: str) -> bool:
    """Whether the datasets of two plugins and arguments share images."""
    same = one is other and one.overlap(argument, other_argument)
    return same or not one.collections(argument).isdisjoint(other.collections(other_argument))


def _shares_images(one: Sealed, other: Sealed) -> bool:
    return share_images(type(one), one.argument, type(other), other.argument) or nested(one.folder, other.folder)


class Seal:
    """Closes datasets while code of a method runs.

    A dataset that opens a split checks every closed seal of this process, because a method may open a dataset through
    any part of dpbench, in a thread or in a forked worker.

    Args:
        sensitive: the sensitive dataset, or None where there is none.
    """

    _closed: ClassVar[list[Seal]] = []

    def __init__(self, sensitive: Sealed | None = None):
        self._sensitive = sensitive
        self._everything = 0

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Closes the sensitive dataset and every test split: for `prepare`, `fit` and `sample`."""
        self._closed.append(self)
        try:
            yield
        finally:
            self._closed.remove(self)

    @contextmanager
    def everything_closed(self) -> Iterator[None]:
        """Closes every dataset: while a method is made, plans, or returns its state."""
        self._everything += 1
        try:
            with self.closed():
                yield
        finally:
            self._everything -= 1

    @classmethod
    def check(cls, dataset: Sealed, split: Split) -> None:
        """Checks that no seal closes a split.

        Raises:
            PrivacyError: one does.
        """
        for seal in cls._closed:
            seal._check(dataset, split)

    def _check(self, dataset: Sealed, split: Split) -> None:
        if self._everything:
            raise PrivacyError(
                "no dataset opens while a method is made, plans or returns its state; all that it may know of its "
                "dataset is `spec`"
            )
        if split == "test":
            raise PrivacyError("no test split opens while a method works: it is for the evaluator, after sampling")
        if self._sensitive and _shares_images(dataset, self._sensitive):
            raise PrivacyError("the sensitive dataset does not open while a method works; use `private`")
