from __future__ import annotations

import copy

import pytest
import torch
from engines import (
    NAMES,
    ConvNet,
    Transformer,
    denoise,
    denoise_rows,
    expected_gradients,
    image_batch,
    next_token,
    next_token_rows,
    token_batch,
)


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
