"""The complete training state, saved and restored together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from dpbench.core.context import RunContext
from dpbench.training.part import Part
from dpbench.training.random_state import generator_states, restore_generators


class TrainingState:
    """Weights, optimisers, schedules, moving averages, steppers and generators.

    Args:
        parts: the models in training.
        run: its generator is also saved.
    """

    def __init__(self, parts: Sequence[Part], run: RunContext):
        self._parts = parts
        self._run = run

    def key(self) -> Any:
        """A key that distinguishes this training from others in the same folder; read before the first step."""
        generators = [
            state.numpy().tobytes().hex() for state in (self._run.generator.get_state(), torch.get_rng_state())
        ]
        return [[part.key() for part in self._parts], generators]

    def state_dict(self) -> dict[str, Any]:
        """The state, to be stored."""
        return {"parts": [part.state_dict() for part in self._parts], "generators": generator_states(self._run)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a stored state."""
        for part, stored in zip(self._parts, state["parts"], strict=True):
            part.load_state_dict(stored)
        restore_generators(self._run, state["generators"])
