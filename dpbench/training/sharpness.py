"""Sharpness-aware minimisation (SAM; Foret et al., arXiv 2010.01412): training for robustness to perturbed weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dpbench.core.context import RunContext
from dpbench.training.public_steps import PublicSteps


class SharpnessAwareSteps(PublicSteps):
    """`PublicSteps` along the gradient at the worst weights nearby, w + radius · g / ‖g‖ where g is the gradient at w.

    Both gradients use the same batch. A step takes twice as long.

    Args:
        loss: as in `PublicSteps`; its randomness comes from the run's generator.
        optimizer: optimiser of the trained parameters.
        steps: number of steps.
        run: provides precision and generator.
        radius: norm of the perturbation of all weights together.
    """

    def __init__(
        self,
        loss: Callable[[], Tensor],
        optimizer: torch.optim.Optimizer,
        steps: int,
        run: RunContext,
        radius: float,
    ):
        super().__init__(loss, optimizer, steps, run)
        self._radius = radius
        self.key = f"public, radius {radius}"

    def _backward(self) -> Tensor:
        batch = self._run.generator.get_state()
        super()._backward()
        weights = [p for group in self._optimizer.param_groups for p in group["params"] if p.grad is not None]
        before = [p.detach().clone() for p in weights]
        norm = torch.nn.utils.get_total_norm([p.grad for p in weights]).clamp_min(1e-12)
        with torch.no_grad():
            for p in weights:
                p += self._radius * p.grad / norm
        self._run.generator.set_state(batch)
        loss = super()._backward()
        with torch.no_grad():
            for p, start in zip(weights, before, strict=True):
                p.copy_(start)
        return loss
