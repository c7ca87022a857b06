"""Sums of clipped per-example gradients: one small interface, and the engine that opacus' hooks provide."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch

Loss = Callable[[nn.Module, Batch, torch.Generator], Tensor]
"""loss(model, batch, generator) -> [records · views], record-major: the views of one record stand together."""


class GradientEngine(ABC):
    """Computes what a private step releases, up to the noise.

    Args:
        model: its parameters with `requires_grad` are trained.
        loss: per-view losses; see `Loss`.
    """

    def __init__(self, model: nn.Module, loss: Loss):
        self.model = model
        self.loss = loss
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        if not self.parameters:
            raise PrivacyError("the model has no trainable parameters")

    @abstractmethod
    def clipped_sum(
        self, batch: Batch, real: Tensor, views: int, clip: float, generator: torch.Generator
    ) -> list[Tensor]:
        """Σ_i min(1, clip/‖g_i‖) g_i with g_i the gradient of record i's mean loss over its views.

        A record whose gradient is not finite counts as zero.

        Args:
            batch: `len(real) * views` rows, record-major.
            real: bool [records]; False marks padding, which contributes nothing.
            views: rows per record.
            clip: bound on the L2 norm over all trained parameters together.
            generator: randomness of the loss (never DP noise).

        Returns:
            One fp32 tensor per trained parameter.
        """

    def close(self) -> None:  # noqa: B027 (optional hook)
        """Leaves the model as it was found."""


class OpacusEngine(GradientEngine):
    """Materialises every per-example gradient with opacus' backward hooks: the reference.

    Needs memory for `records · views` copies of the gradient, so micro-batches should be small.
    """

    def __init__(self, model: nn.Module, loss: Loss):
        from opacus.grad_sample import GradSampleModule

        super().__init__(model, loss)
        try:
            self._hooks: Any = GradSampleModule(model, batch_first=True, loss_reduction="sum")
        except NotImplementedError as error:
            raise PrivacyError(f"per-example gradients are not available: {error}") from error
        self._hooks.disable_hooks()

    def clipped_sum(
        self, batch: Batch, real: Tensor, views: int, clip: float, generator: torch.Generator
    ) -> list[Tensor]:
        """See `GradientEngine.clipped_sum`."""
        self._hooks.enable_hooks()
        try:
            losses = self.loss(self.model, batch, generator)
            if losses.shape != (len(real) * views,):
                raise PrivacyError(f"the loss must have shape ({len(real) * views},), not {tuple(losses.shape)}")
            losses.sum().backward()
            gradients = [self._of_records(p, len(real), views) for p in self.parameters]
        finally:
            self._hooks.disable_hooks()
            for p in self.parameters:
                p.grad = None
                p.grad_sample = None  # type: ignore[attr-defined]
        norms = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)
        finite = norms.isfinite()
        if not finite.all():
            gradients = [torch.where(_like(finite, g), g, 0) for g in gradients]
        weights = torch.where(real & finite, (clip / norms.clamp_min(1e-12)).clamp(max=1), 0)
        return [torch.einsum("b,b...->...", weights, g) for g in gradients]

    def close(self) -> None:
        """Removes the hooks."""
        self._hooks.remove_hooks()

    @staticmethod
    def _of_records(parameter: nn.Parameter, records: int, views: int) -> Tensor:
        samples = getattr(parameter, "grad_sample", None)
        if samples is None:  # the loss did not use this parameter
            return torch.zeros(records, *parameter.shape, device=parameter.device)
        return samples.float().reshape(records, views, *parameter.shape).mean(dim=1)


def _like(mask: Tensor, gradient: Tensor) -> Tensor:
    return mask.reshape(-1, *[1] * (gradient.ndim - 1))
