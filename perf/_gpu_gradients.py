"""Every engine's gradients and clipped sums against `vmap(grad)` in fp64, on the device.

fp32: TF32 is disabled globally, so only rounding errors remain. bf16: losses under autocast. TF32: enabled globally, so
the engines themselves must disable it for norms and sums; see `in_tf32`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import product

import torch
from torch import Tensor, nn

from dpbench.core.specs import Batch
from dpbench.privacy.gradients.engine import GradientEngine, Loss
from dpbench.privacy.gradients.engines import ENGINES
from perf._gpu_checks import Check, Setting, Value
from perf._gpu_examples import LAYERS, Example, networks
from perf._gpu_precision import product_error, tf32
from perf._models import in_bf16

VIEWS = (1, 8)

FP32, BF16 = 1e-4, 5e-2
"""Bounds on relative errors for losses in fp32 and in bf16. Rounding factors to TF32 gives errors of about 3e-4."""

NORMS = 1e-3
"""Bound for clipped sums of the book-keeping engine, which overestimates norms by up to half of this."""


@dataclass(frozen=True)
class Job:
    """A comparison to run: an engine and an example, with each record repeated `views` times."""

    example: Example
    engine: str
    views: int
    device: str


def checks(setting: Setting) -> Iterator[Check]:
    """One check per example, precision, engine and view count; the tiny form varies the view count in fp32 only."""
    yield Check("a plain product, TF32 allowed", ("error",), partial(_plain_product, setting))
    everything = {**LAYERS, **networks(setting.tiny)}
    few = VIEWS[-1:] if setting.tiny else VIEWS
    parts: list[tuple[str, Mapping[str, Example], Sequence[int], Callable[[Job], Value]]] = [
        ("fp32", everything, VIEWS, partial(against_reference, bf16=False)),
        ("bf16", everything, few, partial(against_reference, bf16=True)),
        ("TF32 allowed", LAYERS, few, in_tf32),
    ]
    for precision, examples, numbers, compare in parts:
        for name, example in examples.items():
            for engine, views in product(ENGINES, numbers):
                if example.opacus or engine != "opacus":
                    job, column = Job(example, engine, views, setting.device), f"{engine} K={views}"
                    yield Check(f"{name}, {precision}", (column,), partial(_in_column, column, compare, job))


def _in_column(column: str, compare: Callable[[Job], Value], job: Job) -> Mapping[str, Value]:
    return {column: compare(job)}


def _plain_product(setting: Setting) -> Mapping[str, Value]:
    """Shows whether TF32 changes products on this device; otherwise the TF32 rows test nothing."""
    with tf32(allowed=True):
        error = product_error(setting.device)
    return {"error": Value(error, None, "" if error > 1e-5 else "this device computes no TF32")}


def against_reference(job: Job, bf16: bool) -> Value:
    """Compares the engine's gradients and clipped sum with the reference, with TF32 disabled."""
    model, batch = _set_up(job.example, job.device)
    loss = in_bf16(job.example.loss) if bf16 else job.example.loss
    with tf32(allowed=False):
        return _compared(job, model, loss, batch, BF16 if bf16 else FP32)


def in_tf32(job: Job) -> Value:
    """Compares norms and sums with the reference, with TF32 enabled.

    The model and its loss run in fp64, which TF32 does not affect. The engines compute norms and sums in fp32, so a
    difference from the reference above fp32's rounding error comes from TF32.
    """
    model, batch = _set_up(job.example, job.device)
    with tf32(allowed=True):
        return _compared(job, model.double(), job.example.loss, _in_fp64(batch), FP32)


def _set_up(example: Example, device: str) -> tuple[nn.Module, Batch]:
    torch.manual_seed(0)
    return example.build().to(device), example.records.map(lambda t: t.to(device))


def _in_fp64(batch: Batch) -> Batch:
    return batch.map(lambda t: t.double() if t.is_floating_point() else t)


def _compared(job: Job, model: nn.Module, loss: Loss, batch: Batch, bound: float) -> Value:
    """The largest relative distance of the engine's gradients, and of their clipped sum, from the reference."""
    expected = reference(job.example, job.views, job.device)
    engine = ENGINES[job.engine](model, loss)
    norms = expected.norm(dim=1)
    of_gradients = float(((each(engine, batch, job.views) - expected).norm(dim=1) / norms).max())
    clip = float(norms.median()) / 2
    shares = (clip / norms).clamp(max=1)
    total = clipped_sum(engine, batch, torch.ones(len(batch), dtype=torch.bool), job.views, clip)
    of_sum = float((total - shares @ expected).norm() / (shares @ norms))
    engine.close()
    passed = of_gradients <= bound and of_sum <= (max(bound, NORMS) if job.engine == "book-keeping" else bound)
    return Value(max(of_gradients, of_sum), passed)


def clipped_sum(engine: GradientEngine, batch: Batch, real: Tensor, views: int, clip: float) -> Tensor:
    """The clipped sum as one fp64 vector; the loss uses the same random draws in every call."""
    rows, generator = batch.repeat(views), torch.Generator().manual_seed(3)
    device = engine.parameters[0].device
    return torch.cat([t.double().flatten() for t in engine.clipped_sum(rows, real.to(device), views, clip, generator)])


def each(engine: GradientEngine, batch: Batch, views: int, clip: float = math.inf) -> Tensor:
    """The contribution of each record to the sum, in fp64: [records, parameters]."""
    return torch.stack([clipped_sum(engine, batch, one, views, clip) for one in torch.eye(len(batch)).bool()])


@cache
def reference(example: Example, views: int, device: str) -> Tensor:
    """The records' gradients by `vmap(grad)` in fp64, with the draws of `clipped_sum`: [records, parameters]."""
    model, batch = _set_up(example, device)
    exact = _WithLoss(model.double(), example.loss)
    parameters = {name: p.detach() for name, p in exact.named_parameters() if p.requires_grad}
    generator = torch.Generator().manual_seed(3)
    records = _in_fp64(batch).repeat(views).map(lambda t: t.unflatten(0, (len(batch), views))).tensors

    def mean_loss(parameters: dict[str, Tensor], record: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(exact, parameters, (Batch(**record), generator)).mean()

    gradients = torch.func.vmap(torch.func.grad(mean_loss), (None, 0), randomness="different")(parameters, records)
    return torch.cat([gradients[name].double().flatten(1) for name in parameters], dim=1)


class _WithLoss(nn.Module):
    def __init__(self, model: nn.Module, loss: Loss):
        super().__init__()
        self.model = model
        self.loss = loss

    def forward(self, batch: Batch, generator: torch.Generator) -> Tensor:
        return self.loss(self.model, batch, generator)
