"""What is found out about an engine and a model before a private record is read."""

from __future__ import annotations

import pytest
import torch
from engines import ENGINES, RECORDS, Transformer, clipped_sum, flat, next_token, repeat, token_batch
from torch import nn

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.bookkeeping import BookKeepingEngine
from dpbench.privacy.engine_checks import check_engine
from dpbench.privacy.gradients import OpacusEngine


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
