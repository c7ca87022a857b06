"""Which models the engines refuse, and what they leave behind."""

from __future__ import annotations

import pytest
import torch
from engines import (
    BATCHED,
    ENGINES,
    RECORDS,
    Scaled,
    Transformer,
    clipped_sum,
    flat,
    next_token,
    rows_loss,
    token_batch,
)
from torch import Tensor, nn

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.gradients.bookkeeping import BookKeepingEngine
from dpbench.privacy.gradients.opacus_engine import OpacusEngine
from dpbench.privacy.gradients.vmap import VmapEngine


@pytest.mark.parametrize("engine_class", [BookKeepingEngine, VmapEngine])
def test_a_parameter_that_belongs_to_no_layer_is_trained(engine_class):
    model = nn.Sequential(Scaled())
    with pytest.raises(PrivacyError, match="buffers"):
        OpacusEngine(nn.BatchNorm1d(3), rows_loss)
    x = torch.randn(RECORDS, 4)
    total = torch.autograd.grad(rows_loss(model, Batch(derived=x), torch.Generator()).sum(), list(model.parameters()))
    torch.testing.assert_close(clipped_sum(engine_class(model, rows_loss), Batch(derived=x)), flat(total))


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
