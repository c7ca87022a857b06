"""The engine for any layer: `vmap` of `grad` over records, which materialises every per-example gradient."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from dpbench.core.specs import Batch
from dpbench.models.precision import full_precision
from dpbench.privacy.gradients.engine import GradientEngine, Loss, clip_and_sum


class VmapEngine(GradientEngine):
    """Per-example gradients by torch.func, for models with layers that the other engines do not support.

    Needs memory for `records` copies of the gradient and of all intermediate values, so micro-batches should be small.
    The loss sees one record's views at a time; random draws with the rows in their first dimension are the same as in
    the other engines.
    """

    advice = (
        "operations whose size or branch depends on values do not work here: write labels[:, None] == torch.arange(n) "
        "for one_hot, torch.where for masks and branches, or try engine=book-keeping"
    )

    def __init__(self, model: nn.Module, loss: Loss, gamma: float | None = None):
        super().__init__(model, loss, gamma)
        self._names = [f"model.{name}" for name, p in model.named_parameters() if p.requires_grad]

    def clipped_sum(
        self, batch: Batch, real: Tensor, views: int, clip: float, generator: torch.Generator
    ) -> list[Tensor]:
        """See `GradientEngine.clipped_sum`."""
        self.check_shape(torch.empty(len(batch)), len(real) * views)
        records = batch.map(lambda t: t.unflatten(0, (len(real), views))).tensors
        call = _LossOf(self.model, self.loss)

        def of_record(parameters: dict[str, Tensor], record: dict[str, Tensor]) -> Tensor:
            losses = torch.func.functional_call(call, parameters, (replace(batch, **record), generator))
            self.check_shape(losses, views)
            return losses.float().mean()

        gradients = torch.func.vmap(torch.func.grad(of_record), (None, 0), randomness="different")(
            {name: p.detach() for name, p in zip(self._names, self.parameters, strict=True)}, records
        )
        with full_precision(real.device):
            return clip_and_sum([gradients[name].float() for name in self._names], real, clip, self.gamma)


class _LossOf(nn.Module):
    """The loss as a module that owns the model, so that `functional_call` can replace its weights."""

    def __init__(self, model: nn.Module, loss: Loss):
        super().__init__()
        self.model = model
        self.loss = loss

    def forward(self, batch: Batch, generator: torch.Generator) -> Tensor:
        return self.loss(self.model, batch, generator)
