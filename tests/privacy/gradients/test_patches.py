"""What the places of a convolution see, and the products of that, against torch's own convolutions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dpbench.privacy.gradients import layer_gradients
from dpbench.privacy.gradients.layer_gradients import LAYERS as RULES
from dpbench.privacy.gradients.layer_gradients import ConvGradients
from dpbench.privacy.gradients.patches import patches, products
from dpbench.privacy.gradients.terms import Dense

RECORDS = 4

LAYERS = {
    "1d": (nn.Conv1d(5, 6, 5, stride=4, dilation=2), (5, 17)),
    "2d": (nn.Conv2d(3, 4, 3, padding=1), (3, 6, 7)),
    "2d, one pixel": (nn.Conv2d(5, 4, 1), (5, 3, 3)),
    "2d, uneven": (nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(0, 1), dilation=(1, 2)), (3, 9, 8)),
    "3d": (nn.Conv3d(2, 3, 3, stride=2, padding=1), (2, 5, 6, 5)),
}


@pytest.mark.parametrize("name", [name for name in LAYERS if name.startswith("2d")])
def test_patches_are_those_of_unfold_with_channels_last(name):
    layer, shape = LAYERS[name]
    x = torch.randn(RECORDS, *shape)
    found = patches(layer, x, list(layer.padding))
    expected = F.unfold(x, layer.kernel_size, layer.dilation, layer.padding, layer.stride).mT
    in_order = expected.unflatten(2, (shape[0], -1)).mT.flatten(2)
    torch.testing.assert_close(found, in_order, rtol=0, atol=0)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("small_cache", [False, True])
def test_products_are_those_of_a_convolution_with_a_group_per_record(name, views, small_cache, monkeypatch):
    if small_cache:  # a record at a time
        monkeypatch.setattr("dpbench.privacy.gradients.patches.chunk", lambda size, device: 1)
    layer, shape = LAYERS[name]
    x = torch.randn(RECORDS * views, *shape)
    g = torch.randn_like(layer(x)).detach()
    found = products(layer, x, list(layer.padding), g, RECORDS)
    expected = ConvGradients._by_convolution(layer, x, list(layer.padding), g, RECORDS)
    assert isinstance(expected, Dense)
    torch.testing.assert_close(found, expected.values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layer", [nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(4, 6, 3, 1, 1, groups=2),
                                   nn.ConvTranspose2d(4, 6, 3, stride=1, padding=1)])  # fmt: skip
@pytest.mark.parametrize(("views", "size", "calls"), [(1, 32, RECORDS), (4, 16, RECORDS), (1, 31, 0)])
def test_records_with_many_places_have_a_convolution_each(layer, views, size, calls, monkeypatch):
    counted = []
    weight_gradient = layer_gradients.weight_gradient
    monkeypatch.setattr(
        layer_gradients, "weight_gradient", lambda *args: counted.append(args[-1]) or weight_gradient(*args)
    )
    x = torch.randn(RECORDS * views, 4, size, size)
    output = layer(x)
    g = torch.randn_like(output)
    terms = RULES[type(layer)].terms(layer, {"weight"}, x, g, RECORDS)
    expected = [torch.autograd.grad(layer(own_x), layer.weight, own_g)[0]
                for own_x, own_g in zip(x.chunk(RECORDS), g.chunk(RECORDS), strict=True)]  # fmt: skip
    torch.testing.assert_close(terms["weight"].dense().values, torch.stack(expected), rtol=1e-4, atol=1e-4)
    assert counted.count(layer.groups) == calls


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 3, 2, 1), (3, 0, 2, 1), (2, 3, 0, 1), (1, 2, 3, 0)])
def test_dense_gradients_may_lie_in_any_order_in_memory(order):
    usual = torch.randn(RECORDS, 3, 2, 5, generator=torch.Generator().manual_seed(0))
    weights = torch.rand(RECORDS, generator=torch.Generator().manual_seed(1))
    values = usual.permute(order).contiguous().permute(torch.tensor(order).argsort().tolist())
    term = Dense(values)
    torch.testing.assert_close(term.weighted_sum(weights), torch.einsum("b,b...->...", weights, usual))
    exact = usual.double().flatten(1).square().sum(1)
    assert (term.squared_norms() >= exact).all()
    torch.testing.assert_close(term.squared_norms(), exact, rtol=1e-4, atol=0)
    kept = torch.tensor([True, False, True, True])
    torch.testing.assert_close(term.select(kept).weighted_sum(weights), Dense(usual).weighted_sum(weights * kept))
