"""The reference engine of per-example gradients, based on opacus' backward hooks."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch
from dpbench.models.precision import full_precision
from dpbench.privacy.gradients.engine import GradientEngine, Loss, clip_and_sum


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
