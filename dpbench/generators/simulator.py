"""Base of the simulators: programs that draw an image from a few numbers."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, TypeVar

from dpbench.core.context import RunContext
from dpbench.core.public_generator import Candidates, PublicGenerator

if TYPE_CHECKING:
    import torch
    from torch import Tensor

C = TypeVar("C")

CHUNK = 1000
"""Images drawn at a time."""


class Simulator(PublicGenerator[C]):
    """A program that draws an image from parameters in [0, 1); subclasses define `draw`.

    The first parameters of an image are its kind, and stay in all its variations. The next ones are choices, such as a
    font: a variation redraws each with probability `degree`. The others are amounts, such as an angle: a variation adds
    normal noise with the standard deviation `degree`, reflected at 0 and 1.

    The origins of its candidates are their parameters.
    """

    varies_any = False
    kinds: ClassVar[int] = 0
    """Number of parameters that are the kind."""
    choices: ClassVar[int] = 0
    """Number of parameters that are choices."""
    amounts: ClassVar[int]
    """Number of parameters that are amounts."""

    @abstractmethod
    def draw(self, parameters: Tensor) -> Tensor:
        """Images from their parameters: [n, kinds + choices + amounts] in [0, 1) -> uint8 [n, c, h, w].

        Every image depends only on its own parameters.
        """

    def random(self, count: int, run: RunContext) -> Candidates:
        """See `PublicGenerator.random`: uniform parameters."""
        import torch

        return self._drawn(torch.rand(count, self.kinds + self.choices + self.amounts, generator=run.generator))

    def vary(self, candidates: Candidates, degree: float, run: RunContext) -> Candidates:
        """See `PublicGenerator.vary`."""
        import torch

        kind, choice, amount = candidates.origins.split([self.kinds, self.choices, self.amounts], dim=1)
        return self._drawn(
            torch.cat([kind, redrawn(choice, degree, run.generator), walked(amount, degree, run.generator)], dim=1)
        )

    def _drawn(self, parameters: Tensor) -> Candidates:
        import torch

        return Candidates(torch.cat([self.draw(part) for part in parameters.split(CHUNK)]), parameters)


def redrawn(values: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Values [n, k] in [0, 1), each redrawn with a given probability."""
    import torch

    anew = torch.rand(values.shape, generator=generator) < probability
    return torch.where(anew, torch.rand(values.shape, generator=generator), values)


def walked(values: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    """Values [n, k] in [0, 1) after a normal step of each, reflected at 0 and 1."""
    import torch

    moved = (values + deviation * torch.randn(values.shape, generator=generator)).remainder(2)
    return torch.where(moved >= 1, 2 - moved, moved).clamp(max=1 - 2**-20)
