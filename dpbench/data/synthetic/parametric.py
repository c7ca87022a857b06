"""Base class of generated datasets with a parameter: a number, or a word for it, after the colon of the name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from dpbench.core.data import DataOptions
from dpbench.core.errors import DataError
from dpbench.data.synthetic.rendering import RenderedDataset


class ParametricDataset(RenderedDataset):
    """A generated dataset `name:T` with 0 <= T <= 1; `name` is T = 0.

    The scenes are the same for every T, so that two datasets differ only in what T controls. Therefore none of them may
    be public while another is sensitive.
    """

    words: ClassVar[Mapping[str, float]]  # word -> parameter

    def __init__(self, argument: str, options: DataOptions):
        super().__init__("", options)
        self.argument = argument
        try:
            self.parameter = float(self.words.get(argument, argument or 0))
        except ValueError:
            self.parameter = math.nan
        if not 0 <= self.parameter <= 1:
            known = ", ".join(f"{self.name}:{word}" for word in self.words)
            raise DataError(
                f"'{self.name}:{argument}' does not exist; write {self.name}:T with T from 0 to 1, or one of {known}"
            )
        if self.parameter:
            self.name = f"{self.name}:{self.parameter}".removesuffix(
                ".0"
            )  # the same name for every way to write the number
            self.folder = options.root / self.name.replace(":", "-")

    @classmethod
    def overlap(cls, argument: str, other: str) -> bool:
        """See `Dataset.overlap`."""
        return True
