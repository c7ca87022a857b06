"""The training steps compared by `dp_step.py`: plain training, dpbench's engines and Opacus' ghost clipping."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from opacus.grad_sample import GradSampleModuleFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPTensorFastGradientClipping
from torch import Tensor, nn

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.gradients.bookkeeping import BookKeepingEngine
from dpbench.privacy.gradients.engine import GradientEngine, Loss
from dpbench.privacy.gradients.opacus_engine import OpacusEngine
from dpbench.privacy.gradients.vmap import VmapEngine
from perf._models import Case

CLIP = 1.0

Step = Callable[[Batch, int], list[Tensor]]
"""step(records, micro-batch in rows) -> the gradients of the trained parameters, one tensor each."""


class OpacusGhostEngine(GradientEngine):
    """Opacus' fast gradient clipping: one backward pass for the norms and one for the reweighted losses.

    It uses ghost norms for Linear and Embedding, and per-example gradients of one layer at a time for other layers.
    """

    def __init__(self, model: nn.Module, loss: Loss, gamma: float | None = None):
        super().__init__(model, loss, gamma)
        try:
            self._hooks = GradSampleModuleFastGradientClipping(
                model, batch_first=True, loss_reduction="sum", use_ghost_clipping=True
            )
        except (NotImplementedError, ValueError) as error:
            raise PrivacyError(str(error)) from error
        for layer in model.modules():
            # Opacus 1.6 fails for an expanded index and computes wrong norms for convolutions of channels-last images.
            if isinstance(layer, nn.Embedding | nn.Conv2d):
                layer.register_forward_pre_hook(lambda _, inputs: (inputs[0].contiguous(),))
        self._optimizer = torch.optim.SGD(self.parameters)  # opacus calls its zero_grad after the first pass

    def clipped_sum(
        self, batch: Batch, real: Tensor, views: int, clip: float, generator: torch.Generator
    ) -> list[Tensor]:
        """See `GradientEngine.clipped_sum`; a non-finite gradient makes the sum non-finite."""
        if views > 1:
            raise PrivacyError("ghost clipping clips rows, not records with several views")
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
    """Micro-batches of at most `rows` rows, with every record repeated `views` times."""
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
    """The part of a `DPSGDStepper` step between sampling and noise."""
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
    """A step of the engine with this name on a new model; every engine gets the same initial weights.

    Raises:
        PrivacyError: the engine does not support this case.
    """
    torch.manual_seed(0)
    with torch.device(device):  # initialising large models takes seconds on a CPU
        model = case.build().train()
    if name == "plain":
        return plain_step(case, model, device)
    return private_step(PRIVATE[name](model, case.loss), case, device)
