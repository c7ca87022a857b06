"""The engines' sums are those of the records' own gradients."""

from __future__ import annotations

import pytest
import torch
from engines import (
    ENGINES,
    RECORDS,
    Transformer,
    clipped_sum,
    each_record,
    everyone,
    expected_gradients,
    flat,
    next_token,
    next_token_rows,
    rows_loss,
    token_batch,
)
from torch import nn

from dpbench.core.specs import Batch


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


@pytest.mark.parametrize("engine_class", ENGINES)
def test_shared_parameters_are_followed(engine_class):
    model = Transformer()
    model.head.weight = model.token.weight
    expected = expected_gradients(model, token_batch(), 3, next_token_rows)
    found = each_record(engine_class(model, next_token), token_batch(), 3)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
