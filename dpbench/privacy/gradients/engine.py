"""Sums of clipped per-example gradients: the interface of engines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from dpbench.core.errors import PrivacyError
from dpbench.core.footprint import rows_that_fit, saved_bytes
from dpbench.core.specs import Batch
from dpbench.privacy.clipping import clip_weights, squared_norms

Loss = Callable[[nn.Module, Batch, torch.Generator], Tensor]
"""loss(model, batch, generator) -> [records · views], record-major: the views of one record are adjacent."""


class GradientEngine(ABC):
    """Computes the sums that a private step releases, before the noise.

    Args:
        model: its parameters with `requires_grad` are trained.
        loss: per-view losses; see `Loss`.
        gamma: γ of automatic clipping; None for flat clipping. See `clip_weights`.

    Attributes:
        advice: what to try if the engine cannot differentiate a model and loss.
    """

    advice: ClassVar[str] = "try engine=vmap"

    def __init__(self, model: nn.Module, loss: Loss, gamma: float | None = None):
        self.model = model
        self.loss = loss
        self.gamma = gamma
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        if not self.parameters:
            raise PrivacyError("the model has no trainable parameters")

    def refuse_changes(self) -> None:
        """Raises `PrivacyError` if parameters were frozen or unfrozen since: their gradients would not be noised."""
        now = [p for p in self.model.parameters() if p.requires_grad]
        if len(now) != len(self.parameters) or any(a is not b for a, b in zip(now, self.parameters, strict=True)):
            raise PrivacyError("the model's trainable parameters changed after dp_sgd was called")

    @abstractmethod
    def clipped_sum(
        self, batch: Batch, real: Tensor, views: int, clip: float, generator: torch.Generator
    ) -> list[Tensor]:
        """Σ_i min(1, clip/‖g_i‖) g_i with g_i the gradient of record i's mean loss over its views.

        With automatic clipping, Σ_i clip/(‖g_i‖ + γ) g_i. In both cases, a record adds a norm of at most `clip`; a
        record whose gradient is not finite counts as zero.

        Args:
            batch: `len(real) * views` rows, record-major.
            real: bool [records]; False marks padding, which contributes nothing.
            views: rows per record.
            clip: bound on the L2 norm over all trained parameters together.
            generator: randomness of the loss (never DP noise).

        Returns:
            One fp32 tensor per trained parameter.
        """

    def stored_bytes(self, batch: Batch, views: int, generator: torch.Generator) -> int:
        """Bytes that the per-example gradients of `batch` need beyond a plain backward pass."""
        return len(batch) // views * sum(4 * p.numel() for p in self.parameters)

    def rows_that_fit(self, batch: Batch, views: int, generator: torch.Generator) -> int:
        """Number of rows for one call of `clipped_sum`; `batch` is measured, so it must not hold private records."""
        with torch.random.fork_rng():
            kept = saved_bytes(lambda: self.loss(self.model, batch, generator))
            each = (kept + self.stored_bytes(batch, views, generator)) / len(batch)
        return rows_that_fit(each, str(self.parameters[0].device))

    @staticmethod
    def check_shape(losses: Tensor, rows: int) -> None:
        """Raises `PrivacyError` unless the loss gave one value per row."""
        if losses.shape != (rows,):
            raise PrivacyError(f"the loss must have shape ({rows},), not {tuple(losses.shape)}")

    def close(self) -> None:  # noqa: B027 (optional hook)
        """Restores the model to the state in which it was given."""


def refuse_sharded(model: nn.Module) -> None:
    """Raises `PrivacyError` if the model's parameters are spread over processes: engines need whole ones."""
    if any(hasattr(p, "device_mesh") for p in model.parameters()):  # a DTensor, as FSDP makes them
        raise PrivacyError(
            "the model is sharded over processes (FSDP), but a private step needs all of it in every process: "
            "give dp_sgd the whole model, train fewer of its weights (LoRA), or use a GPU with more memory"
        )


def clip_and_sum(gradients: list[Tensor], real: Tensor, clip: float, gamma: float | None) -> list[Tensor]:
    """`GradientEngine.clipped_sum` of materialised gradients [b, ...], one tensor per parameter."""
    squares = torch.stack([squared_norms(g) for g in gradients]).sum(0)
    weights, kept = clip_weights(squares, real, clip, gamma)
    if not kept.all():
        gradients = [torch.where(kept.reshape(-1, *[1] * (g.ndim - 1)), g, 0) for g in gradients]
    return [(weights @ g.flatten(1)).reshape(g.shape[1:]) for g in gradients]
