from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.bookkeeping import BookKeepingEngine
from dpbench.privacy.engine_checks import check_engine
from dpbench.privacy.gradients import GradientEngine, Loss, OpacusEngine
from dpbench.privacy.vmap import VmapEngine

RECORDS = 5
BATCHED = [OpacusEngine, BookKeepingEngine]  # give the loss the whole batch, not one record at a time
ENGINES = [*BATCHED, VmapEngine]


class ConvNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4)
        self.conv2, self.head = nn.Conv2d(4, 3, 3, stride=2, bias=False), nn.Linear(27, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.norm(self.conv1(x)))
        return self.head(self.conv2(x).flatten(1))


class Transformer(nn.Module):
    """One block; every layer sees the batch in its first dimension, and the MLP is used twice."""

    def __init__(self, length: int = 6, dim: int = 8):
        super().__init__()
        self.token, self.place = nn.Embedding(7, dim), nn.Embedding(length, dim)
        self.norm1, self.qkv, self.out = nn.LayerNorm(dim), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim, bias=False)
        self.norm2, self.mlp = nn.LayerNorm(dim), nn.Linear(dim, dim)
        self.head = nn.Linear(dim, 7)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.token(tokens) + self.place(torch.arange(tokens.shape[1]).expand_as(tokens))
        q, k, v = self.qkv(self.norm1(x)).chunk(3, dim=-1)
        later = torch.ones(x.shape[1], x.shape[1]).triu(1).bool()
        x = x + self.out((q @ k.mT).masked_fill(later, -1e9).softmax(-1) @ v)
        for _ in range(2):
            x = x + F.gelu(self.mlp(self.norm2(x)))
        return self.head(x)


def image_batch(n: int = RECORDS, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 1, 8, 8), generator=generator, dtype=torch.uint8)
    return Batch(images, torch.randint(0, 4, (n,), generator=generator))


def token_batch(n: int = RECORDS, seed: int = 0) -> Batch:
    return Batch(derived=torch.randint(0, 7, (n, 6), generator=torch.Generator().manual_seed(seed)))


def denoise(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Classification of images with noise from the loss's generator: every view differs."""
    x = batch.images / 255
    return F.cross_entropy(model(x + 0.3 * torch.randn(x.shape, generator=generator)), batch.labels, reduction="none")


def next_token(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Next-token loss with weights from the loss's generator: every view differs."""
    tokens = batch.derived
    losses = F.cross_entropy(model(tokens[:, :-1]).transpose(1, 2), tokens[:, 1:], reduction="none")
    return (losses * torch.rand(losses.shape, generator=generator)).mean(1)


def repeat(batch: Batch, views: int) -> Batch:
    return batch.map(lambda t: t.repeat_interleave(views, dim=0))


def everyone(n: int = RECORDS) -> Tensor:
    return torch.ones(n, dtype=torch.bool)


def flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([t.detach().flatten() for t in tensors])


def clipped_sum(
    engine: GradientEngine, batch: Batch, real: Tensor | None = None, views: int = 1, clip: float = math.inf
) -> Tensor:
    """The engine's sum as one vector, with the loss's generator in the same state every time."""
    real = everyone(len(batch)) if real is None else real
    sums = engine.clipped_sum(repeat(batch, views), real, views, clip, torch.Generator().manual_seed(3))
    assert all(s.dtype == torch.float32 for s in sums)
    assert [s.shape for s in sums] == [p.shape for p in engine.parameters]
    return flat(sums)


def each_record(engine: GradientEngine, batch: Batch, views: int = 1, clip: float = math.inf) -> Tensor:
    """The records' own gradients, one at a time: [records, parameters]."""
    return torch.stack([clipped_sum(engine, batch, one, views, clip) for one in torch.eye(len(batch)).bool()])


def expected_gradients(model: nn.Module, batch: Batch, views: int, of_rows: Callable[..., Tensor]) -> Tensor:
    """The same by torch.func: vmap over records of the gradient of the mean loss over the record's views."""
    parameters = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    loss, *rows = of_rows(repeat(batch, views), torch.Generator().manual_seed(3))
    tensors = [t.reshape(len(batch), views, *t.shape[1:]) for t in rows]

    def of_record(parameters: dict[str, Tensor], *record: Tensor) -> Tensor:
        return loss(lambda x: torch.func.functional_call(model, parameters, (x,)), *record).mean()

    gradients = torch.func.vmap(torch.func.grad(of_record), (None, *[0] * len(tensors)))(parameters, *tensors)
    return torch.cat([g.flatten(1) for g in gradients.values()], dim=1)


def denoise_rows(batch: Batch, generator: torch.Generator):
    x = batch.images / 255
    x = x + 0.3 * torch.randn(x.shape, generator=generator)
    return lambda model, x, y: F.cross_entropy(model(x), y, reduction="none"), x, batch.labels


def next_token_rows(batch: Batch, generator: torch.Generator):
    tokens = batch.derived
    weights = torch.rand(len(tokens), tokens.shape[1] - 1, generator=generator)

    def loss(model, tokens: Tensor, weights: Tensor) -> Tensor:
        losses = F.cross_entropy(model(tokens[:, :-1]).transpose(1, 2), tokens[:, 1:], reduction="none")
        return (losses * weights).mean(1)

    return loss, tokens, weights


BATCHED_CASES = ["conv net-opacus", "conv net-book-keeping", "transformer-opacus", "transformer-book-keeping"]
NAMES = {"opacus": OpacusEngine, "book-keeping": BookKeepingEngine, "vmap": VmapEngine}


@pytest.fixture(params=[f"{net}-{engine}" for net in ("conv net", "transformer") for engine in NAMES])
def case(request):
    """(engine, batch, a function from number of views to the records' gradients)."""
    torch.manual_seed(0)
    net, _, engine = request.param.partition("-")
    model, loss, batch, rows = {
        "conv net": (ConvNet(), denoise, image_batch(), denoise_rows),
        "transformer": (Transformer(), next_token, token_batch(), next_token_rows),
    }[net]
    untouched = copy.deepcopy(model)
    engine = NAMES[engine](model, loss)
    yield engine, batch, lambda views: expected_gradients(untouched, batch, views, rows)
    engine.close()


@pytest.mark.parametrize("views", [1, 3])
def test_gradients_are_those_of_each_records_mean_loss(case, views):
    engine, batch, reference = case
    expected = reference(views)
    found = each_record(engine, batch, views)
    assert ((found - expected).norm(dim=1) <= 1e-5 * expected.norm(dim=1)).all()
    total = clipped_sum(engine, batch, views=views)
    assert (total - expected.sum(0)).norm() <= 1e-5 * expected.norm(dim=1).sum()


@pytest.mark.parametrize("views", [1, 3])
def test_the_sum_is_that_of_gradients_scaled_down_to_the_clip(case, views):
    engine, batch, reference = case
    expected = reference(views)
    norms = expected.norm(dim=1)
    clip = float(norms.median())  # some are clipped, some are not
    total = clipped_sum(engine, batch, views=views, clip=clip)
    scaled = (clip / norms).clamp(max=1) @ expected
    assert (total - scaled).norm() <= 1e-3 * scaled.norm()


def test_a_record_contributes_at_most_the_clip(case):
    engine, batch, _ = case
    for clip in (1e-3, 0.1, 1.0):
        contributions = each_record(engine, batch, clip=clip).norm(dim=1)
        assert (contributions <= clip * (1 + 1e-5)).all()
        without = [clipped_sum(engine, batch, ~one, clip=clip) for one in torch.eye(RECORDS).bool()]
        total = clipped_sum(engine, batch, clip=clip)
        assert all((total - rest).norm() <= clip * (1 + 1e-4) for rest in without)


def scaled_at(loss: Loss, factors: dict[int, float]) -> Loss:
    """The loss with some rows multiplied by a factor."""

    def scaled(model, batch, generator):
        losses = loss(model, batch, generator)
        factor = torch.ones(len(losses))
        for row, value in factors.items():
            factor[row] = value
        return losses * factor

    return scaled


def test_padding_contributes_nothing(case):
    engine, batch, _ = case
    real = torch.tensor([True, False, True, True, False])
    total = clipped_sum(engine, batch, real, views=3, clip=0.5)
    others = {image_batch: batch.images is not None, token_batch: batch.images is None}
    other = next(make for make, right in others.items() if right)(seed=1)
    changed = batch.map(lambda t: t.clone())
    for mine, its in ((changed.images, other.images), (changed.labels, other.labels), (changed.derived, other.derived)):
        if mine is not None:
            mine[~real] = its[~real]
    torch.testing.assert_close(clipped_sum(engine, changed, real, views=3, clip=0.5), total)
    assert not clipped_sum(engine, batch, ~everyone(), clip=0.5).any()


@pytest.mark.parametrize("case", BATCHED_CASES, indirect=True)
def test_only_padding_is_zero_even_where_its_loss_is_not_a_number(case):
    engine, batch, _ = case
    expected = clipped_sum(engine, batch, torch.arange(RECORDS) >= 2, clip=0.5)
    engine.loss = scaled_at(engine.loss, {0: float("nan"), 1: float("inf")})
    found = clipped_sum(engine, batch, torch.arange(RECORDS) >= 2, clip=0.5)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("case", BATCHED_CASES, indirect=True)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30], ids=["nan", "inf", "overflow"])
@pytest.mark.parametrize("clip", [0.5, math.inf], ids=["clipped", "unclipped"])
def test_a_record_whose_gradient_is_not_finite_counts_as_zero_and_spoils_nothing(case, value, clip):
    engine, batch, _ = case
    expected = clipped_sum(engine, batch, torch.arange(RECORDS) != 1, clip=clip)
    engine.loss = scaled_at(engine.loss, {1: value})
    torch.testing.assert_close(clipped_sum(engine, batch, clip=clip), expected)


@pytest.mark.parametrize("engine_class", ENGINES)
def test_activations_that_are_not_finite_spoil_nothing(engine_class):
    torch.manual_seed(0)
    engine = engine_class(nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), nn.Linear(3, 1)), rows_loss)
    x = torch.randn(RECORDS, 4)
    expected = clipped_sum(engine, Batch(derived=x), torch.arange(RECORDS) != 1, clip=0.1)
    x[1, 2] = float("inf")
    torch.testing.assert_close(clipped_sum(engine, Batch(derived=x), clip=0.1), expected)


def rows_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    return (model(batch.derived) ** 2).flatten(1).mean(1)


class Difference(nn.Module):
    """Its weight's gradient is a difference of two terms that nearly cancel."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return (y[:, 0] - y[:, 1]).flatten(1).sum(1)


@pytest.mark.parametrize("engine_class", ENGINES)
@pytest.mark.parametrize(
    "layer", [nn.Linear(64, 64), nn.Linear(4, 4, bias=False), nn.Embedding(3, 8), nn.LayerNorm(64)], ids=repr
)
@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6])
def test_a_gradient_that_cancels_in_floating_point_does_not_escape_its_clip(engine_class, layer, scale):
    torch.manual_seed(0)
    engine = engine_class(Difference(copy.deepcopy(layer)), lambda model, b, g: scale * model(b.derived))
    if isinstance(layer, nn.Embedding):
        x = torch.tensor([[1, 1], [1, 2]])
    else:
        base = torch.randn(2, 1, layer.weight.shape[-1])
        x = torch.cat([base, base + 1e-4 * torch.randn(base.shape)], dim=1)
    assert (each_record(engine, Batch(derived=x), clip=1.0).norm(dim=1) <= 1 + 1e-5).all()


@pytest.mark.parametrize("engine_class", ENGINES)
def test_autocast_does_not_loosen_the_clip(engine_class):
    torch.manual_seed(0)
    engine = engine_class(Transformer(), next_token)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        contributions = each_record(engine, token_batch(), clip=1e-3).norm(dim=1)
    assert (contributions <= 1e-3 * (1 + 1e-5)).all()


@pytest.mark.parametrize("engine_class", ENGINES)
def test_a_model_in_half_precision_has_sums_in_single(engine_class):
    torch.manual_seed(0)
    engine = engine_class(nn.Linear(4, 2).bfloat16(), rows_loss)
    assert clipped_sum(engine, Batch(derived=torch.randn(3, 4).bfloat16()), clip=1.0).any()


@pytest.mark.parametrize("engine_class", ENGINES)
def test_frozen_parameters_have_no_gradient_and_take_no_share_of_the_clip(engine_class):
    torch.manual_seed(0)
    model = Transformer()
    for layer in (model.token, model.qkv, model.norm2.bias, model.head.weight):
        layer.requires_grad_(False)
    expected = expected_gradients(model, token_batch(), 1, next_token_rows)
    engine = engine_class(model, next_token)
    torch.testing.assert_close(each_record(engine, token_batch()), expected, rtol=1e-4, atol=1e-6)
    clip = float(expected.norm(dim=1).min()) / 2
    clipped = each_record(engine, token_batch(), clip=clip).norm(dim=1)
    assert (clipped > 0.999 * clip).all()
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("engine_class", ENGINES)
def test_a_parameter_that_the_loss_does_not_use_has_gradient_zero(engine_class):
    model = nn.ModuleDict({"used": nn.Linear(4, 1), "unused": nn.Linear(4, 2)})
    engine = engine_class(model, lambda m, b, g: m["used"](b.derived).squeeze(1))
    sums = engine.clipped_sum(Batch(derived=torch.randn(3, 4)), everyone(3), 1, 1.0, torch.Generator())
    assert [bool(s.any()) for s in sums] == [True, True, False, False]


@pytest.mark.parametrize("engine_class", ENGINES)
def test_a_target_from_the_same_model_is_a_constant(engine_class):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))

    def loss(model, batch, generator):
        with torch.no_grad():
            target = model(batch.derived + 1)
        return ((model(batch.derived) - target) ** 2).squeeze(1)

    batch = Batch(derived=torch.randn(RECORDS, 4))
    gradient = flat(torch.autograd.grad(loss(model, batch, None).sum(), list(model.parameters())))
    engine = engine_class(model, loss)
    for _ in range(2):
        torch.testing.assert_close(clipped_sum(engine, batch), gradient)


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
def test_shared_parameters_are_followed(engine_class):
    model = Transformer()
    model.head.weight = model.token.weight
    expected = expected_gradients(model, token_batch(), 3, next_token_rows)
    found = each_record(engine_class(model, next_token), token_batch(), 3)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


class Scaled(nn.Module):
    """A parameter that belongs to no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.scale = nn.Linear(4, 3), nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.inner(x)


def test_a_layer_without_a_rule_is_refused_by_name_and_vmap_takes_it():
    model = nn.Sequential(Scaled())
    with pytest.raises(PrivacyError, match=r"layer '0' \(Scaled\); engine=vmap takes any"):
        BookKeepingEngine(model, rows_loss)
    with pytest.raises(PrivacyError, match="buffers"):
        OpacusEngine(nn.BatchNorm1d(3), rows_loss)
    x = torch.randn(RECORDS, 4)
    total = torch.autograd.grad(rows_loss(model, Batch(derived=x), torch.Generator()).sum(), list(model.parameters()))
    torch.testing.assert_close(clipped_sum(VmapEngine(model, rows_loss), Batch(derived=x)), flat(total))


@pytest.mark.parametrize("engine_class", ENGINES)
def test_a_model_with_nothing_to_train_is_refused(engine_class):
    with pytest.raises(PrivacyError, match="no trainable parameters"):
        engine_class(nn.Linear(2, 2).requires_grad_(False), rows_loss)


@pytest.mark.parametrize("engine_class", BATCHED)
@pytest.mark.parametrize("shape", ["mean", "per record", "matrix"])
def test_a_loss_of_another_shape_is_refused(engine_class, shape):
    def loss(model, batch, generator):
        rows = rows_loss(model, batch, generator)
        return {"mean": rows.mean(), "per record": rows.reshape(-1, 3).mean(1), "matrix": rows[:, None]}[shape]

    engine = engine_class(nn.Linear(4, 2), loss)
    with pytest.raises(PrivacyError, match=r"the loss must have shape \(6,\)"):
        clipped_sum(engine, Batch(derived=torch.randn(2, 4)), views=3)


@pytest.mark.parametrize("engine_class", BATCHED)
def test_a_layer_without_the_batch_in_its_first_dimension_is_refused(engine_class):
    class Places(Transformer):
        def forward(self, tokens: Tensor) -> Tensor:
            return self.head(self.token(tokens) + self.place(torch.arange(tokens.shape[1])))

    engine = engine_class(Places(), next_token)
    with pytest.raises(PrivacyError, match="saw 5 rows where the loss has 3"):
        clipped_sum(engine, token_batch(3))


@pytest.mark.parametrize("engine_class", ENGINES)
def test_closing_leaves_the_model_as_it_was_found(engine_class):
    model = Transformer()
    attributes = {name: set(vars(p)) for name, p in model.named_parameters()}
    modules = {name: set(vars(m)) for name, m in model.named_modules()}
    engine = engine_class(model, next_token)
    clipped_sum(engine, token_batch(), clip=1.0)
    engine.close()
    engine.close()
    assert {name: set(vars(p)) for name, p in model.named_parameters()} == attributes
    assert {name: set(vars(m)) for name, m in model.named_modules()} == modules
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert not any(m._forward_hooks or m._backward_hooks or m._forward_pre_hooks for m in model.modules())
    clipped_sum(engine_class(model, next_token), token_batch(), clip=1.0)  # and another one can take over


@pytest.mark.parametrize("engine_class", ENGINES)
def test_nothing_lingers_after_a_loss_that_fails_midway(engine_class):
    torch.manual_seed(0)
    engine = engine_class(Transformer(), next_token)
    expected = clipped_sum(engine, token_batch(), clip=1.0)

    def fails(model, batch, generator):
        next_token(model, batch, generator)
        raise RuntimeError("midway")

    engine.loss = fails
    with pytest.raises(RuntimeError, match="midway"):
        clipped_sum(engine, token_batch(seed=1), clip=1.0)
    assert all(p.grad is None and p.requires_grad for p in engine.model.parameters())
    engine.loss = next_token
    torch.testing.assert_close(clipped_sum(engine, token_batch(), clip=1.0), expected)


@pytest.mark.parametrize("engine_class", ENGINES)
def test_public_use_of_the_model_between_calls_changes_nothing(engine_class):
    torch.manual_seed(0)
    engine = engine_class(Transformer(), next_token)
    expected = clipped_sum(engine, token_batch(), clip=1.0)
    next_token(engine.model, token_batch(seed=1), torch.Generator()).sum().backward()  # a public gradient is in .grad
    torch.testing.assert_close(clipped_sum(engine, token_batch(), clip=1.0), expected)


@pytest.mark.parametrize("engine_class", ENGINES)
def test_freezing_or_unfreezing_later_is_noticed(engine_class):
    model = Transformer()
    model.token.requires_grad_(False)
    engine = engine_class(model, next_token)
    engine.refuse_changes()
    model.token.requires_grad_(True)
    with pytest.raises(PrivacyError, match="changed"):
        engine.refuse_changes()
    model.token.requires_grad_(False)
    model.head.requires_grad_(False)
    with pytest.raises(PrivacyError, match="changed"):
        engine.refuse_changes()


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
