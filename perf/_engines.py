"""What `dp_step.py` compares: plain training, this package's engines, and opacus' ghost clipping."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from opacus.grad_sample import GradSampleModuleFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPTensorFastGradientClipping
from torch import Tensor, nn

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.gradients.bookkeeping import BookKeepingEngine
from dpbench.privacy.gradients.engine import GradientEngine, Loss, OpacusEngine
from dpbench.privacy.gradients.vmap import VmapEngine
from perf._models import Case

CLIP = 1.0

Step = Callable[[Batch, int], list[Tensor]]
"""step(records, micro-batch in rows) -> the gradients of the trained parameters, one tensor each."""


class OpacusGhostEngine(GradientEngine):
    """opacus' fast gradient clipping: a backward pass for the norms, and a second one of the reweighted losses.

    Ghost norms where opacus has them (Linear, Embedding), one layer's per-example gradients at a time elsewhere.
    """

    def __init__(self, model: nn.Module, loss: Loss):
        super().__init__(model, loss)
        try:
            self._hooks = GradSampleModuleFastGradientClipping(
                model, batch_first=True, loss_reduction="sum", use_ghost_clipping=True
            )
        except (NotImplementedError, ValueError) as error:
            raise PrivacyError(str(error)) from error
        for layer in model.modules():
            # opacus (1.6) fails on an expanded index, and takes wrong norms of a convolution of channels-last images.
            if isinstance(layer, nn.Embedding | nn.Conv2d):
                layer.register_forward_pre_hook(lambda _, inputs: (inputs[0].contiguous(),))
        self._optimizer = torch.optim.SGD(self.parameters)  # opacus asks it to forget the first pass's gradients

    def clipped_sum(
        self, batch: Batch, real: Tensor, views: int, clip: float, generator: torch.Generator
    ) -> list[Tensor]:
        """See `GradientEngine.clipped_sum`; a gradient that is not finite spoils the sum."""
        if views > 1:
            raise PrivacyError("it clips rows, not records of several views")
        self._hooks.max_grad_norm = clip
        losses = self.loss(self.model, batch, generator) * real
        DPTensorFastGradientClipping(self._hooks, self._optimizer, losses, "sum").backward()
        sums = [p.grad for p in self.parameters]
        self._optimizer.zero_grad()
        return sums


PRIVATE: Mapping[str, type[GradientEngine]] = {
    "book-keeping": BookKeepingEngine,
    "opacus": OpacusEngine,
    "opacus-ghost": OpacusGhostEngine,
    "vmap": VmapEngine,
}
ENGINES = ("plain", *PRIVATE)


def micro_batches(batch: Batch, views: int, rows: int) -> Iterator[Batch]:
    """Micro-batches of at most `rows` rows, every record standing there `views` times."""
    for start in range(0, len(batch), rows // views):
        part = slice(start, start + rows // views)
        yield batch.map(lambda t, part=part: t[part]).repeat(views)


def plain_step(case: Case, model: nn.Module, device: str) -> Step:
    """Ordinary training: the gradient of the mean loss, accumulated over micro-batches by autograd."""
    generator = torch.Generator(device).manual_seed(0)
    parameters = [p for p in model.parameters() if p.requires_grad]

    def step(batch: Batch, rows: int) -> list[Tensor]:
        for parameter in parameters:
            parameter.grad = None
        for part in micro_batches(batch, case.views, rows):
            share = len(part) / (len(batch) * case.views)
            (case.loss(model, part, generator).mean() * share).backward()
        return [p.grad for p in parameters]

    return step


def private_step(engine: GradientEngine, case: Case, device: str) -> Step:
    """What `DPSGDStepper` does between sampling and noise."""
    generator = torch.Generator(device).manual_seed(0)

    def step(batch: Batch, rows: int) -> list[Tensor]:
        sums = [torch.zeros_like(p, dtype=torch.float32) for p in engine.parameters]
        for part in micro_batches(batch, case.views, rows):
            real = torch.ones(len(part) // case.views, dtype=torch.bool, device=device)
            addends = engine.clipped_sum(part, real, case.views, CLIP, generator)
            for total, addend in zip(sums, addends, strict=True):
                total += addend
        return sums

    return step


def make_step(name: str, case: Case, device: str) -> Step:
    """A step of engine `name` on a model of its own, the same weights for every engine.

    Raises:
        PrivacyError: the engine cannot do this case.
    """
    torch.manual_seed(0)
    with torch.device(device):  # drawing large models' weights takes seconds on a CPU
        model = case.build().train()
    if name == "plain":
        return plain_step(case, model, device)
    return private_step(PRIVATE[name](model, case.loss), case, device)
