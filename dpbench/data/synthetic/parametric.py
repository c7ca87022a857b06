"""The base of generated datasets with a dial: a number after the colon of the name, or a word for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from dpbench.core.data import DataOptions
from dpbench.core.errors import DataError
from dpbench.data.synthetic.rendering import RenderedDataset


class DialledDataset(RenderedDataset):
    """A generated dataset `name:T` with 0 <= T <= 1; `name` alone is T = 0.

    All dials paint the same scenes, so that two of them differ in what the dial moves and in nothing else. Therefore
    none may be public where another is sensitive.

    Raises:
        DataError: the argument is no number from 0 to 1 and none of `words`.
    """

    words: ClassVar[Mapping[str, float]]  # names of some dials

    def __init__(self, argument: str, options: DataOptions):
        super().__init__("", options)
        self.argument = argument
        try:
            self.dial = float(self.words.get(argument, argument or 0))
        except ValueError:
            self.dial = math.nan
        if not 0 <= self.dial <= 1:
            known = ", ".join(f"{self.name}:{word}" for word in self.words)
            raise DataError(
                f"'{self.name}:{argument}' does not exist; write {self.name}:T with T from 0 to 1, or one of {known}"
            )
        if self.dial:
            self.name = f"{self.name}:{self.dial}".removesuffix(".0")  # the same however the number was written
            self.folder = options.root / self.name.replace(":", "-")

    @classmethod
    def overlap(cls, argument: str, other: str) -> bool:
        """See `Dataset.overlap`."""
        return True
