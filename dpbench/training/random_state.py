"""The states of all generators that a phase draws from: the run's own, torch's, and that of the GPU."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dpbench.core.context import RunContext


def generator_states(run: RunContext) -> dict[str, Tensor]:
    """The present states, to be stored."""
    states = {"run": run.generator.get_state(), "torch": torch.get_rng_state()}
    if run.device.startswith("cuda"):
        states["cuda"] = torch.cuda.get_rng_state(run.device)
    return states


def restore_generators(run: RunContext, states: Mapping[str, Tensor]) -> None:
    """Restores `generator_states`; a GPU's state is left out on a CPU, because a phase may resume on another device."""
    run.generator.set_state(states["run"])
    torch.set_rng_state(states["torch"])
    if "cuda" in states and run.device.startswith("cuda"):
        torch.cuda.set_rng_state(states["cuda"], run.device)
