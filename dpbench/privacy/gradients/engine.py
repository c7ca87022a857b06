"""Sums of clipped per-example gradients: the interface of engines, and the reference engine, based on opacus' hooks."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dpbench.core.errors import PrivacyError
from dpbench.core.footprint import rows_that_fit, saved_bytes
from dpbench.core.specs import Batch
from dpbench.models.precision import full_precision
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


class OpacusEngine(GradientEngine):
    """Materialises every per-example gradient with opacus' backward hooks: the reference.

    Needs memory for `records · views` copies of the gradient, so micro-batches should be small.
    """

    advice = "try engine=book-keeping"

    def __init__(self, model: nn.Module, loss: Loss, gamma: float | None = None):
        from opacus.grad_sample import GradSampleModule

        super().__init__(model, loss, gamma)
        warnings.filterwarnings("ignore", message="Full backward hook is firing")  # images need no gradient
        try:
            self._hooks: Any = GradSampleModule(model, batch_first=True, loss_reduction="sum")
        except (NotImplementedError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise PrivacyError(f"opacus cannot differentiate this model; {self.advice} ({reason})") from error
        self._hooks.disable_hooks()
        convolutions = [m for m in model.modules() if isinstance(m, nn.Conv1d | nn.Conv2d)]
        self._handles = [m.register_forward_pre_hook(_contiguous) for m in convolutions]

    def clipped_sum(
        self, batch: Batch, real: Tensor, views: int, clip: float, generator: torch.Generator
    ) -> list[Tensor]:
        """See `GradientEngine.clipped_sum`."""
        self._hooks.enable_hooks()
        try:
            losses = self.loss(self.model, batch, generator)
            self.check_shape(losses, len(real) * views)
            losses.sum().backward()
            gradients = [self._of_records(p, len(real), views) for p in self.parameters]
        finally:
            self._hooks.disable_hooks()
            self._forget()
        with full_precision(real.device):
            return clip_and_sum(gradients, real, clip, self.gamma)

    def close(self) -> None:
        """Removes the hooks, and the attributes that they left on the parameters."""
        self._hooks.cleanup()
        for handle in self._handles:
            handle.remove()

    def _forget(self) -> None:
        """Removes all traces of a call on the model, even if it failed or ran a layer without using its output."""
        for module in self.model.modules():
            module.__dict__.pop("activations", None)
            module.__dict__.pop("max_batch_len", None)
        for p in self.parameters:
            p.grad = None
            p.grad_sample = None  # type: ignore[attr-defined]
            p._forward_counter = 0  # type: ignore[attr-defined]
            p.__dict__.pop("_current_grad_sample", None)

    @staticmethod
    def _of_records(parameter: nn.Parameter, records: int, views: int) -> Tensor:
        samples = getattr(parameter, "grad_sample", None)
        if samples is None:  # the loss did not use this parameter
            return torch.zeros(records, *parameter.shape, device=parameter.device)
        if len(samples) != records * views:
            raise PrivacyError(
                f"a trained layer saw {len(samples)} rows where the loss has {records * views}; "
                "give every layer the whole batch in its first dimension"
            )
        return samples.float().reshape(records, views, *parameter.shape).mean(dim=1)


def _contiguous(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Works around opacus 1.6: it takes patches of a channels-last input (attention's output) from the wrong places."""
    return tuple(x.contiguous() for x in inputs)
