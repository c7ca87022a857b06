"""The order in which the tokens of an image are predicted, and the input of each prediction; without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class TokenOrder:
    """A sequence of T tokens in blocks: a block is predicted at once, from the condition and all earlier blocks.

    Attributes:
        blocks: tokens per block, in order.
        parents: for each token after the first block, the position of the earlier token whose embedding is the input
            when it is predicted. In the first block, the input is the condition.
    """

    blocks: tuple[int, ...]
    parents: tuple[int, ...]

    @property
    def length(self) -> int:
        """Tokens per sequence T."""
        return sum(self.blocks)

    @property
    def one_by_one(self) -> bool:
        """Whether every block is a single token."""
        return len(self.blocks) == self.length


def one_by_one(length: int) -> TokenOrder:
    """Every token is predicted from those before it; its parent is the previous token."""
    return TokenOrder((1,) * length, tuple(range(length - 1)))


def scale_by_scale(sides: Sequence[int]) -> TokenOrder:
    """Square grids of tokens from coarse to fine, each predicted at once (VAR, arXiv 2404.02905).

    The parent of a token is the token at its position in the previous grid. VAR uses interpolated sums of code vectors
    instead; here, attention to all coarser tokens must provide this information.

    Args:
        sides: height and width of each grid, coarsest first.
    """
    parents: list[int] = []
    start = 0
    for coarse, fine in pairwise(sides):
        inside = [side * coarse // fine for side in range(fine)]
        parents += [start + row * coarse + column for row in inside for column in inside]
        start += coarse**2
    return TokenOrder(tuple(side**2 for side in sides), tuple(parents))
