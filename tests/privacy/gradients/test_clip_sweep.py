"""No record escapes its clip: adversarial records over layers, widths, uses and views, measured in fp64.

A record's gradient is a sum over uses of a layer and over views. Here every second of its terms has the opposite sign,
so that it cancels where they are alike, and the loss is scaled up so that what fp32 misses would exceed the clip.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from engines import flat
from torch import Tensor, nn

from dpbench.core.specs import Batch
from dpbench.privacy.gradients.bookkeeping import BookKeepingEngine
from dpbench.privacy.gradients.engine import GradientEngine
from dpbench.privacy.gradients.opacus_engine import OpacusEngine
from dpbench.privacy.gradients.vmap import VmapEngine

ALLOWED = 1 + 1e-5
CLIPS = (1e-12, 1e-3, 1.0, 30.0)
CONTRASTS = (0, 1e-3, 3e-3, 1e-2, 0.3)
"""Of every second use or view to the first: how far a gradient cancels."""


class Tied(nn.Module):
    """One weight as an embedding and as a head: terms of two kinds, which have to be multiplied out."""

    def __init__(self, rows: int, width: int):
        super().__init__()
        self.token, self.head = nn.Embedding(rows, width), nn.Linear(width, rows, bias=False)
        self.head.weight = self.token.weight

    def forward(self, entries: Tensor) -> Tensor:
        return self.head(self.token(entries))


@dataclass
class Case:
    """A layer, the shape of one use's input, uses of the layer per view, and views."""

    layer: Callable[[], nn.Module]
    shape: tuple[int, ...]
    uses: int = 1
    views: int = 1
    calls: bool = False
    """whether every use is a call of its own, not a position"""
    rows: int = 0
    """of an embedding, 0 where inputs are no indices"""

    def terms(self) -> int:
        return self.uses * self.views


def linear(inputs: int, outputs: int, *uses: int, **settings: bool) -> Case:
    return Case(lambda: nn.Linear(inputs, outputs), (inputs,), *uses, **settings)


def images(layer: Callable[[], nn.Module], shape: tuple[int, ...], *uses: int) -> Case:
    return Case(layer, shape, *uses, calls=True)


SMALL = {
    "linear 8-8": linear(8, 8, 2),
    "linear 8-512, 2 calls": linear(8, 512, 2, calls=True),
    "linear 64-64, 8 views": linear(64, 64, 1, 8),
    "linear 64-64, 64 uses": linear(64, 64, 64),
    "linear 512-512, 8 uses, 4 views": linear(512, 512, 8, 4),
    "linear 512-64, 2 calls, 4 views": linear(512, 64, 2, 4, calls=True),
    "conv1d": images(lambda: nn.Conv1d(16, 32, 3), (16, 4), 2),
    "conv1d, 8 views": images(lambda: nn.Conv1d(64, 64, 3, padding=1), (64, 1), 1, 8),
    "conv1d, groups": images(lambda: nn.Conv1d(16, 16, 3, groups=4), (16, 9), 2, 2),
    "conv2d, one place": images(lambda: nn.Conv2d(32, 64, 3), (32, 3, 3), 2),
    "conv2d, one place, 32 views": images(lambda: nn.Conv2d(64, 400, 3), (64, 3, 3), 1, 32),
    "conv2d, many places": images(lambda: nn.Conv2d(3, 8, 3), (3, 8, 8), 2, 2),
    "conv2d, groups": images(lambda: nn.Conv2d(8, 16, 3, groups=8), (8, 5, 5), 2),
    "layer norm": Case(lambda: nn.LayerNorm(512), (512,), 8, 2),
    "rms norm": Case(lambda: nn.RMSNorm(64), (64,), 8),
    "group norm": images(lambda: nn.GroupNorm(4, 32), (32, 4, 4), 2, 2),
    "embedding": Case(lambda: nn.Embedding(11, 512), (), 64, rows=11),
    "embedding, 2 calls, 8 views": Case(lambda: nn.Embedding(11, 64), (3,), 2, 8, calls=True, rows=11),
    "tied": Case(lambda: Tied(64, 64), (), 4, 2, rows=64),
}
WIDE = {
    "linear 3072-512, 2 views": linear(3072, 512, 1, 2),
    "linear 2048-2048, 64 uses": linear(2048, 2048, 64),
    "linear 3072-256, 2 uses, 8 views": linear(3072, 256, 2, 8),
    "linear 16384-128, 2 calls": linear(16384, 128, 2, calls=True),
    "linear 65536-16, 2 views": linear(65536, 16, 1, 2),
    "linear 16-65536, 2 uses": linear(16, 65536, 2),
    "conv2d 512-256, 2 views": images(lambda: nn.Conv2d(512, 256, 3), (512, 3, 3), 1, 2),
    "embedding, wide": Case(lambda: nn.Embedding(3, 16384), (), 16, rows=3),
    "layer norm, wide": Case(lambda: nn.LayerNorm(65536), (65536,), 2),
}


def adversaries(case: Case, seed: int) -> Tensor:
    """Records [b, views, uses, *shape]: flat, flat of two levels, alike, unlike; huge, tiny, and of both kinds."""
    draws = torch.Generator().manual_seed(seed)
    size = (case.views, case.uses, *case.shape)
    if case.rows:
        one = torch.randint(case.rows, (1, 1, *case.shape), generator=draws).expand(size)
        return torch.stack([one, one.clone().index_fill(1, torch.tensor(0), 0), torch.randint(case.rows, size)])
    noise = torch.randn(size, generator=draws)
    alike = torch.randn(1, 1, *case.shape, generator=draws).expand(size)
    second = torch.arange(case.terms()).reshape(case.views, case.uses, *[1] * len(case.shape)) % 2
    levels = torch.rand(2, len(CONTRASTS), generator=draws) + 0.1
    return torch.stack(
        [
            *(a * (1 - c * second).expand(size) for a, c in zip(levels[0], CONTRASTS, strict=True)),
            *(a * alike * (1 - c * second) for a, c in zip(levels[1], CONTRASTS, strict=True)),
            alike + 1e-4 * noise,
            noise,
            1e12 * (alike + 1e-6 * noise),
            1e-25 * (alike + 1e-3 * noise),
            torch.where(noise > 1, 1e15 * noise, 1e-25 * noise),
        ]
    )


class Differences:
    """The loss: scale times the layer's outputs, added up with alternating signs (or with `sign` for all)."""

    def __init__(self, case: Case, scale: float, sign: int = -1):
        self.case, self.scale, self.sign = case, scale, sign

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        x = batch.derived
        y = torch.stack([model(x[:, u]) for u in range(x.shape[1])], dim=1) if self.case.calls else model(x)
        y = y.flatten(2)  # [rows, uses, numbers]
        towards = torch.linspace(0.1, 1, y.shape[2], dtype=y.dtype)
        uses = self.sign ** torch.arange(y.shape[1])
        values = self.scale * ((y @ towards) * uses).sum(1)
        if len(values) == 1 or self.case.views == 1:
            return values
        return (values.unflatten(0, (-1, self.case.views)) * self.sign ** torch.arange(self.case.views)).flatten()


def contributions(engine: GradientEngine, x: Tensor, clip: float) -> Tensor:
    """What each record adds when no other is real: [b, parameters], fp64."""
    b, views = x.shape[:2]
    batch = Batch(derived=x.flatten(0, 1))
    one_by_one = torch.eye(b).bool()
    sums = [flat(engine.clipped_sum(batch, one, views, clip, torch.Generator())) for one in one_by_one]
    return torch.stack(sums).double()


def assert_within_the_clip(engine: GradientEngine, x: Tensor, clip: float) -> None:
    each = contributions(engine, x, clip)
    assert (each.norm(dim=1) <= clip * ALLOWED).all(), f"{float(each.norm(dim=1).max()) / clip:.6g} x clip"
    b, views = x.shape[:2]
    batch = Batch(derived=x.flatten(0, 1))
    total = flat(engine.clipped_sum(batch, torch.ones(b).bool(), views, clip, torch.Generator())).double()
    assert (total - each.sum(0)).norm() <= 1e-4 * clip


@pytest.mark.parametrize("scale", [1.0, 1e5])
@pytest.mark.parametrize("name", SMALL)
def test_adversarial_records_stay_within_the_clip(name, scale):
    case = SMALL[name]
    torch.manual_seed(0)
    engine = BookKeepingEngine(case.layer(), Differences(case, scale))
    for seed, clip in enumerate(CLIPS[1:]):
        assert_within_the_clip(engine, adversaries(case, seed), clip)


@pytest.mark.parametrize("name", WIDE)
def test_so_they_do_at_wide_layers(name):
    case = WIDE[name]
    torch.manual_seed(0)
    engine = BookKeepingEngine(case.layer(), Differences(case, 1e4))
    for seed, clip in enumerate((1e-3, 1.0)):
        assert_within_the_clip(engine, adversaries(case, seed)[: len(CONTRASTS)], clip)


@pytest.mark.parametrize("engine_class", [OpacusEngine, VmapEngine])
@pytest.mark.parametrize("name", ["linear 512-64, 2 calls, 4 views", "conv2d, one place", "layer norm", "embedding"])
def test_so_they_do_in_the_other_engines(name, engine_class):
    case = SMALL[name]
    torch.manual_seed(0)
    loss = Differences(case, 1e4)
    engine = engine_class(case.layer(), loss)
    for seed, clip in enumerate(CLIPS):
        assert_within_the_clip(engine, adversaries(case, seed), clip)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["linear 512-512, 8 uses, 4 views", "conv2d, one place", "embedding", "tied"])
def test_so_they_do_in_half_precision(name, dtype):
    case = SMALL[name]
    torch.manual_seed(0)
    engine = BookKeepingEngine(case.layer().to(dtype), Differences(case, 1e3))
    for seed, clip in enumerate(CLIPS):
        x = adversaries(case, seed)
        assert_within_the_clip(engine, x if case.rows else x.to(dtype), clip)


@pytest.mark.parametrize("name", [name for name, case in SMALL.items() if case.views == 1 or name.startswith("linear")])
def test_what_needs_no_clipping_is_the_gradient(name):
    """Off by 1e-5 of the gradient, and of what its terms would make without their signs, as in any fp32 sum."""
    case = SMALL[name]
    torch.manual_seed(0)
    model, x = case.layer(), adversaries(case, 0)[:12]
    exact = copy.deepcopy(model).double()
    wide = x if case.rows else x.double()
    expected, unsigned = (contributions(Exact(exact, Differences(case, 1.0, sign)), wide, math.inf) for sign in (-1, 1))
    norms, lengths = expected.norm(dim=1), unsigned.norm(dim=1)
    engine = BookKeepingEngine(model, Differences(case, 1.0))
    clip = float((norms + 1e-3 * lengths).max())
    error = (contributions(engine, x, clip) - expected).norm(dim=1)
    assert (error <= 1e-5 * (norms + lengths)).all()


class Exact(GradientEngine):
    """One backward pass per record, in the model's own precision."""

    def clipped_sum(self, batch, real, views, clip, generator):
        losses = self.loss(self.model, batch, generator).unflatten(0, (-1, views)).mean(1)
        return list(torch.autograd.grad(losses[real].sum(), self.parameters))
