"""The complete training state, saved and restored together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dpbench.core.context import RunContext


class TrainingState:
    """Weights, optimiser, schedule, moving average, generators and stepper state.

    Args:
        parts: the objects with a `state_dict` that change during training; must include "stepper", "model" and
            "optimizer".
        run: its generator is also saved.
    """

    def __init__(self, parts: Mapping[str, Any], run: RunContext):
        self._parts = parts
        self._run = run

    def key(self) -> Any:
        """A key that distinguishes this training from others in the same folder; read before the first step."""
        shapes = [(name, list(value.shape)) for name, value in self._parts["model"].state_dict().items()]
        generators = [
            state.numpy().tobytes().hex() for state in (self._run.generator.get_state(), torch.get_rng_state())
        ]
        return [self._parts["stepper"].key, type(self._parts["optimizer"]).__name__, shapes, generators]

    def save(self, path: Path) -> None:
        """Saves the state to a file."""
        parts = {name: part.state_dict() for name, part in self._parts.items()}
        torch.save(parts | {"generators": self._generators()}, path)

    def load(self, state: Mapping[str, Any]) -> int:
        """Restores a saved state; returns the number of completed steps."""
        for name in self._parts.keys() - {"stepper"}:
            self._parts[name].load_state_dict(state[name])
        generators = state["generators"]
        self._run.generator.set_state(generators["run"])
        torch.set_rng_state(generators["torch"])
        if "cuda" in generators and self._run.device.startswith("cuda"):  # training may resume on another device
            torch.cuda.set_rng_state(generators["cuda"], self._run.device)
        return self._parts["stepper"].load_state_dict(state["stepper"])

    def _generators(self) -> dict[str, Tensor]:
        states = {"run": self._run.generator.get_state(), "torch": torch.get_rng_state()}
        if self._run.device.startswith("cuda"):
            states["cuda"] = torch.cuda.get_rng_state(self._run.device)
        return states
