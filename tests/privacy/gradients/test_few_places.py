"""Gradients of convolutions with few places: those that are multiplied out, with norms that are never below them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dpbench.privacy.gradients import few_places
from dpbench.privacy.gradients.few_places import Places
from dpbench.privacy.gradients.layer_gradients import ConvGradients
from dpbench.privacy.gradients.patches import gram_of_patches, patches

RECORDS = 6

LAYERS = {
    "1d": (nn.Conv1d(3, 4, 3, stride=2, padding=2, dilation=2), (3, 9)),
    "2d": (nn.Conv2d(5, 4, 3, padding=1), (5, 4, 4)),
    "2d, uneven": (nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(0, 1), dilation=(1, 2)), (3, 6, 5)),
    "3d": (nn.Conv3d(2, 3, 2, padding=1), (2, 2, 3, 2)),
}
VIEWS = pytest.mark.parametrize("views", [1, 2])
EVERY_LAYER = pytest.mark.parametrize("name", LAYERS)


def places_of(name: str, views: int) -> Places:
    layer, shape = LAYERS[name]
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(RECORDS * views, *shape, generator=draws)
    g = torch.randn(layer(x).shape, generator=draws)
    return Places(layer, x, list(layer.padding), g, RECORDS)


def exact(term: Places) -> Tensor:
    """Each record's gradient by autograd in fp64: [records, *shape of the weight]."""
    layer, weight = term.layer, term.layer.weight.detach().double().requires_grad_(True)
    outputs = torch.func.functional_call(layer, {"weight": weight, "bias": layer.bias.double()}, term.x.double())
    per_record = (outputs * term.g.double()).unflatten(0, (RECORDS, -1)).flatten(1).sum(1)
    return torch.stack([torch.autograd.grad(s, weight, retain_graph=True)[0] for s in per_record])


@EVERY_LAYER
@VIEWS
def test_the_inner_products_of_patches_come_from_those_of_pixels(name, views):
    term = places_of(name, views)
    x = term.x.double()
    seen = patches(term.layer, x, term.padding).reshape(RECORDS, term.sizes[0], -1)
    found = gram_of_patches(term.layer, x, term.padding, RECORDS)
    torch.testing.assert_close(found, torch.bmm(seen, seen.mT), rtol=1e-12, atol=1e-12)


@EVERY_LAYER
@VIEWS
def test_norms_and_sums_are_those_of_autograd(name, views):
    term, weights = places_of(name, views), torch.rand(RECORDS, generator=torch.Generator().manual_seed(1))
    gradients = exact(term)
    squares = gradients.flatten(1).square().sum(1)
    assert (term.squared_norms() >= squares).all()
    torch.testing.assert_close(term.squared_norms(), squares, rtol=2e-4, atol=0)
    torch.testing.assert_close(term.dense().values.double(), gradients, rtol=1e-4, atol=1e-5)
    assert not term.weighted_sum(weights).requires_grad  # a graph would keep records alive after the step
    summed = torch.einsum("b,b...->...", weights.double(), gradients)
    torch.testing.assert_close(term.weighted_sum(weights).double(), summed, rtol=1e-4, atol=1e-5)


def test_a_record_that_is_not_finite_is_left_out():
    term, weights = places_of("2d", 1), torch.ones(RECORDS)
    wanted = exact(term)[torch.arange(RECORDS) != 2].sum(0)
    term.x[2, 0, 0, 0], term.g[2, 0, 0, 0] = torch.nan, torch.inf
    assert term.squared_norms().isfinite().tolist() == [i != 2 for i in range(RECORDS)]
    kept = torch.arange(RECORDS) != 2
    found = term.select(kept).weighted_sum(weights * kept)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kernel", "cancels"), [(1, True), (3, False)])
def test_places_that_cancel_do_not_round_what_other_records_add(kernel, cancels):
    draws = torch.Generator().manual_seed(0)
    x, g = torch.randn(RECORDS, 8, 1, 2, generator=draws), torch.randn(RECORDS, 16, 1, 2, generator=draws)
    odd = torch.arange(RECORDS) % 2 == 1
    x[odd, :, :, 1] = x[odd, :, :, 0] * (1 + 1e-5)
    g[odd, :, :, 1] = -g[odd, :, :, 0]  # of one pixel each, the two places cancel
    x[odd], g[odd] = 1e4 * x[odd], 1e4 * g[odd]
    layer = nn.Conv2d(8, 16, kernel, padding=kernel // 2)
    term = Places(layer, x, list(layer.padding), g, RECORDS)
    _, apart = term._measured
    assert apart.tolist() == ([1, 3, 5] if cancels else [])
    weights = (1 / term.squared_norms().sqrt()).float()
    alone = term.weighted_sum(weights * odd) + term.weighted_sum(weights * ~odd)
    assert (term.weighted_sum(weights) - alone).norm() < 1e-5


def test_the_form_is_chosen_by_its_cost():
    layer = nn.Conv2d(32, 32, 3, padding=1)
    for size, views, chosen in ((4, 1, True), (4, 2, False), (8, 1, False)):
        x = torch.randn(2 * views, 32, size, size)
        term = ConvGradients().terms(layer, {"weight"}, x, torch.randn_like(x), 2)["weight"]
        assert isinstance(term, Places) is chosen
    assert not few_places.places_are_cheaper(layer, x.to("meta"), x.to("meta"), 2)
