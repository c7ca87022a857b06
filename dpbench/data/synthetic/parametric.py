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
        self.argument = self.canonical(argument)
        self.parameter = self.parameter_of(argument)
        if self.argument:
            self.name = f"{self.name}:{self.argument}"
            self.folder = options.root / self.name.replace(":", "-")

    @classmethod
    def parameter_of(cls, argument: str) -> float:
        """T, for a number or a word; 0 for "".

        Raises:
            DataError: it is neither, or not from 0 to 1.
        """
        try:
            parameter = float(cls.words.get(argument, argument or 0))
        except ValueError:
            parameter = math.nan
        if not 0 <= parameter <= 1:
            known = ", ".join(f"{cls.name}:{word}" for word in cls.words)
            raise DataError(
                f"'{cls.name}:{argument}' does not exist; write {cls.name}:T with T from 0 to 1, or one of {known}"
            )
        return parameter

    @classmethod
    def canonical(cls, argument: str) -> str:
        """See `Dataset.canonical`; T as a number, "" for 0."""
        parameter = cls.parameter_of(argument)
        return str(parameter).removesuffix(".0") if parameter else ""

    @classmethod
    def overlap(cls, argument: str, other: str) -> bool:
        """See `Dataset.overlap`."""
        return True
