"""What is found out about an engine and a model before a private record is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from engines import (
    BATCHED,
    ENGINES,
    RECORDS,
    ConvNet,
    Transformer,
    clipped_sum,
    denoise,
    flat,
    image_batch,
    next_token,
    repeat,
    rows_loss,
    token_batch,
)
from torch import Tensor, nn

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.checks.engine_checks import FEW, check_engine, check_gradients
from dpbench.privacy.gradients.bookkeeping import BookKeepingEngine
from dpbench.privacy.gradients.engine import GradientEngine
from dpbench.privacy.gradients.opacus_engine import OpacusEngine

Mix = Callable[[Tensor], Tensor]


def vectors(n: int, seed: int = 0) -> Batch:
    return Batch(derived=torch.randn(n, 6, generator=torch.Generator().manual_seed(seed)))


def check(engine: GradientEngine, probe: Batch, other: Batch, views: int = 1, turn: int = 0) -> None:
    check_gradients(engine, probe, other, views, lambda: torch.Generator().manual_seed(3), turn)


class MixedGradients(torch.autograd.Function):
    """The identity; on the way back, what `mix` makes of the rows' gradients."""

    @staticmethod
    def forward(ctx, x: Tensor, mix: Mix) -> Tensor:
        ctx.mix = mix
        return x.clone()

    @staticmethod
    def backward(ctx, g: Tensor) -> tuple[Tensor, None]:
        return ctx.mix(g), None


class Mixing(nn.Module):
    """Its losses are independent, its gradients are not."""

    def __init__(self, mix: Mix):
        super().__init__()
        self.first, self.second, self.mix = nn.Linear(6, 5), nn.Linear(5, 3), mix

    def forward(self, x: Tensor) -> Tensor:
        return self.second(MixedGradients.apply(self.first(x).tanh(), self.mix))


def of_another(g: Tensor) -> Tensor:
    """Record 1's gradient gets that of record 2, and nobody else's changes."""
    mixed = g.clone()
    mixed[1] += g[2]
    return mixed


MIXES: dict[str, Mix] = {
    "mean": lambda g: g - g.mean(0),
    "a hundredth of the mean": lambda g: g + 0.01 * g.mean(0),
    "scale": lambda g: g / g.norm(),
    "flip": lambda g: g.flip(0),
    "roll": lambda g: g.roll(1, 0),
    "running sum": lambda g: g.cumsum(0),
    "neighbour": lambda g: torch.cat([g[1:], g[:1]]) * 1e-2 + g,
    "one of another": of_another,
}


@pytest.mark.parametrize("engine_class", BATCHED)
@pytest.mark.parametrize("records", [2, 4, 7, 64, 255])
@pytest.mark.parametrize("mix", [m for m in MIXES if m != "one of another"])
def test_gradients_that_mix_records_are_refused(engine_class, records, mix):
    torch.manual_seed(0)
    engine = engine_class(Mixing(MIXES[mix]), rows_loss)
    with pytest.raises(PrivacyError, match="mixes records"):
        check(engine, vectors(records), vectors(records, seed=1))


@pytest.mark.parametrize("records", [4, FEW])
def test_of_few_records_every_pair_is_told_apart(records):
    for i in range(records):
        for j in set(range(records)) - {i}:

            def one_of_another(g: Tensor, i: int = i, j: int = j) -> Tensor:
                return torch.where((torch.arange(len(g)) == i)[:, None], g + 0.01 * g[j], g)

            engine = BookKeepingEngine(Mixing(one_of_another), rows_loss)
            with pytest.raises(PrivacyError, match="mixes records"):
                check(engine, vectors(records), vectors(records, seed=1))


def test_one_record_among_many_that_gets_anothers_gradient_is_noticed():
    """By less than a thousandth of the sum."""
    torch.manual_seed(0)
    engine = BookKeepingEngine(Mixing(of_another), rows_loss)
    with pytest.raises(PrivacyError, match="mixes records"):
        check(engine, vectors(2048), vectors(2048, seed=1), turn=1)


def unusual(batch: Batch) -> Batch:
    """The same with flat, black, white and repeated images."""
    images = batch.images.clone()
    images[0], images[1], images[2], images[3] = 0, 255, 100, images[4]
    return replace(batch, images=images)


@pytest.mark.parametrize("engine_class", ENGINES)
@pytest.mark.parametrize("records", [2, 5, 64])
@pytest.mark.parametrize("views", [1, 3])
def test_the_projects_kinds_of_networks_pass(engine_class, records, views):
    torch.manual_seed(0)
    engine = engine_class(Transformer(), next_token)
    check(engine, token_batch(records), token_batch(records, seed=1), views)
    if records > 4:
        engine = engine_class(ConvNet(), denoise)
        check(engine, unusual(image_batch(records)), image_batch(records, seed=1), views)
        check(engine, image_batch(records), unusual(image_batch(records, seed=1)), views, turn=1)


@pytest.mark.parametrize("engine_class", BATCHED)
@pytest.mark.parametrize("records", [4, 64])
def test_losses_in_bf16_pass(engine_class, records):
    torch.manual_seed(0)

    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return next_token(model, batch, generator).float()

    check(engine_class(Transformer(), loss), token_batch(records), token_batch(records, seed=1), 2)


@pytest.mark.parametrize("engine_class", BATCHED)
def test_records_that_are_not_finite_or_cancel_change_nothing(engine_class):
    torch.manual_seed(0)
    engine = engine_class(nn.Linear(6, 40), lambda m, b, g: 1e6 * (m(b.derived[:, 0]) - m(b.derived[:, 1])).sum(1))
    x = torch.rand(2, 16, 1, 1).expand(2, 16, 2, 6) + 1e-4 * torch.rand(2, 16, 2, 6)
    x[1, 5], x[1, 6, 0, 0], x[1, 7] = 1e30, float("nan"), 0
    check(engine, Batch(derived=x[0]), Batch(derived=x[1]))
    check(engine, Batch(derived=x[1, :4]), Batch(derived=x[0, :4]))


class Changed(GradientEngine):
    """An engine with a fault."""

    def __init__(self, fault: Callable[[Tensor, float], Tensor]):
        torch.manual_seed(0)
        self.right = BookKeepingEngine(nn.Linear(6, 5), rows_loss)
        super().__init__(self.right.model, rows_loss)
        self.fault, self.calls = fault, 0

    def clipped_sum(self, batch, real, views, clip, generator):
        self.calls += 1
        return [self.fault(t, clip) for t in self.right.clipped_sum(batch, real, views, clip, generator)]


@pytest.mark.parametrize("excess", [1e-4, 1.0])
def test_an_engine_that_does_not_keep_the_clip_is_refused(excess):
    engine = Changed(lambda total, clip: total * (1 if clip > 1e9 else 1 + excess))
    for records in (4, 64):
        with pytest.raises(PrivacyError, match="escapes its clip"):
            check(engine, vectors(records), vectors(records, seed=1))


def test_one_record_that_escapes_is_found_in_its_turn():
    probe, other, engine = vectors(16), vectors(16, seed=1), Changed(lambda total, clip: total)
    third = torch.arange(16) == 3
    half = float(flat(engine.clipped_sum(probe, third, 1, 1e9, torch.Generator())).norm()) / 2
    engine.fault = lambda total, clip: total * (1.1 if clip == pytest.approx(half) else 1)
    check(engine, probe, other)
    with pytest.raises(PrivacyError, match="escapes its clip"):
        check(engine, probe, other, turn=3)


def test_sums_that_rounding_changes_from_call_to_call_pass():
    """As on GPUs, where kernels add in any order."""
    draws = torch.Generator().manual_seed(0)

    def noisy(share: float) -> Changed:
        return Changed(lambda t, clip: t + share * t * torch.randn(t.shape, generator=draws))

    for records in (4, 64):
        check(noisy(1e-6), vectors(records), vectors(records, seed=1))
        with pytest.raises(PrivacyError, match="mixes records"):
            check(noisy(0.3), vectors(records), vectors(records, seed=1))


@pytest.mark.parametrize("records", [64, 1024])
def test_the_cost_does_not_grow_with_the_number_of_probes(records):
    engine = Changed(lambda total, clip: total)
    check(engine, vectors(records), vectors(records, seed=1))
    assert engine.calls <= 6


def test_the_checks_leave_generators_and_gradients_alone():
    torch.manual_seed(0)
    engine = BookKeepingEngine(Transformer(), next_token)
    before = torch.get_rng_state()
    check(engine, token_batch(4), token_batch(4, seed=1))
    check_engine(engine, token_batch(4), 1, torch.Generator())
    assert torch.equal(before, torch.get_rng_state())
    assert all(p.grad is None for p in engine.parameters)


def test_an_output_that_is_not_trained_on_is_followed_or_found_out():
    torch.manual_seed(0)
    batch = Batch(derived=torch.randn(RECORDS, 4))

    def loss(model, batch, generator):
        return ((model(batch.derived) - model(batch.derived + 1).detach()) ** 2).squeeze(1)

    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
    gradient = flat(torch.autograd.grad(loss(model, batch, None).sum(), list(model.parameters())))
    torch.testing.assert_close(clipped_sum(BookKeepingEngine(model, loss), batch), gradient)
    with pytest.raises(PrivacyError, match="misses part"):
        check_engine(OpacusEngine(model, loss), batch, 1, torch.Generator())


@pytest.mark.parametrize("engine_class", ENGINES)
def test_an_engine_that_misses_part_of_the_gradient_is_found_out(engine_class):
    def loss(model, batch, generator):
        return (
            next_token(model, batch, generator) + (model.qkv.weight @ batch.derived.sum(1).float()[0].expand(8)).sum()
        )

    engine = engine_class(Transformer(), next_token)
    check_engine(engine, repeat(token_batch(), 3), 3, torch.Generator())
    engine.loss = loss
    with pytest.raises(PrivacyError, match="misses part of this model's gradient"):
        check_engine(engine, repeat(token_batch(), 3), 3, torch.Generator())
