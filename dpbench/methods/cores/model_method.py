"""Base of the methods that train and sample one model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, TypeVar

from dpbench.core.context import RunContext
from dpbench.core.method import Method
from dpbench.core.specs import Conditions

if TYPE_CHECKING:
    from torch import Tensor

C = TypeVar("C")


class Model(Protocol):
    """A model that samples images and is stored with the trial."""

    def sample(self, conditions: Conditions, run: RunContext) -> Tensor:
        """One image per condition: uint8 [n, c, h, w]."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """The weights that `sample` needs."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores `state_dict()`."""
        ...


class ModelMethod(Method[C]):
    """A method whose images come from one model.

    Attributes:
        model: made by the constructor.
    """

    model: Model

    def sample(self, conditions: Conditions, run: RunContext) -> Tensor:
        """See `Method.sample`."""
        return self.model.sample(conditions, run)

    def state_dict(self) -> dict[str, Tensor]:
        """The model's weights."""
        return self.model.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """See `Method.load_state_dict`."""
        self.model.load_state_dict(state)
