"""Forms of per-record gradients: equal to each other, and never below what their sums add."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dpbench.privacy.gradients import terms
from dpbench.privacy.gradients.gram_form import gram_form
from dpbench.privacy.gradients.terms import Dense, Lookup, Outer, add


def outer(x: Tensor, g: Tensor) -> Outer:
    return Outer(x, g, torch.Size((g.shape[2], x.shape[2])))


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def measured(x: Tensor, g: Tensor) -> Tensor:
    return gram_form(torch.bmm(x, x.mT), torch.bmm(g, g.mT), x.shape[2], g.shape[2])


def exact(x: Tensor, g: Tensor) -> Tensor:
    return torch.bmm(g.double().mT, x.double()).flatten(1).square().sum(1)


def test_both_forms_agree():
    term = outer(draw(5, 4, 30), draw(5, 4, 20, seed=1))
    dense, weights = term.dense(), torch.rand(5, generator=torch.Generator().manual_seed(2))
    assert isinstance(dense, Dense)
    torch.testing.assert_close(term.squared_norms(), dense.squared_norms(), rtol=2e-4, atol=0)
    torch.testing.assert_close(term.weighted_sum(weights), dense.weighted_sum(weights), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("t", "n", "m"), [(2, 8, 8), (2, 3072, 512), (16, 128, 512), (64, 1100, 1100), (2, 65536, 4)])
@pytest.mark.parametrize("contrast", [0, 1e-4, 1e-2, 0.3, 1.0])
@pytest.mark.parametrize("flat", [True, False], ids=["flat", "random"])
def test_the_gram_form_is_no_further_off_than_it_says(t, n, m, contrast, flat):
    signs = (-1.0) ** torch.arange(t)[:, None]
    x = torch.rand(6, 1, 1).expand(6, t, n) if flat else draw(6, 1, n).expand(6, t, n)
    x = x * (1 - contrast * torch.rand(6, t, 1))
    g = signs * (torch.ones(6, t, m) if flat else draw(6, 1, m, seed=1))
    wanted, lengths = exact(x, g), (x.double().norm(dim=2) * g.double().norm(dim=2)).sum(1)
    for precision in (torch.float32, torch.float64):
        squares, margin, length, longest = measured(x.to(precision), g.to(precision))
        assert ((squares - wanted).abs() <= margin + 1e-12 * lengths.square()).all()
        torch.testing.assert_close(length, lengths, rtol=1e-3, atol=0)
        assert (longest >= x.double().norm(dim=2).amax(1) * (1 - 1e-3)).all()
    assert (outer(x, g).squared_norms() >= wanted - 1e-12 * lengths.square()).all()


@pytest.mark.parametrize(("small", "large"), [(1e-22, 1e18), (1e-30, 1e15), (1e-35, 1e-3), (1e-20, 1e-20)])
def test_products_that_are_too_small_for_fp32_are_counted(small, large):
    x, g = small * draw(20, 3, 40), large * draw(20, 3, 30, seed=1)
    for a, b in ((x, g), (g, x)):
        squares, margin, *_ = measured(a, b)
        assert ((squares - exact(a, b)).abs() <= margin).all()
        assert (outer(a, b).squared_norms() >= exact(a, b)).all()
        assert (outer(a, b).squared_norms() <= 1.01 * exact(a, b)).all()


@pytest.mark.parametrize("flush", [False, True])
def test_they_are_counted_beside_larger_ones(flush):
    x = draw(20, 2, 40) * torch.tensor([[3e-20], [1.0]])
    g = draw(20, 2, 30, seed=1) * torch.tensor([[3e6], [1e-13]])  # both products are about 1e-13
    wanted = exact(x, g)
    torch.set_flush_denormal(flush)
    try:
        (squares, margin, *_), bounds = measured(x, g), outer(x, g).squared_norms()
    finally:
        torch.set_flush_denormal(False)
    assert ((squares - wanted).abs() <= margin).all()
    assert (bounds >= wanted).all()


@pytest.mark.parametrize("swap", [False, True])
def test_a_small_weight_on_a_small_factor_of_a_long_one_is_not_rounded(swap):
    x, g = 1e-33 * draw(50, 2, 10), 1e33 * draw(50, 2, 12, seed=1)
    if swap:
        x, g = g, x
    weight = 1e-9  # which fp32 could only round on the small factor: to four digits
    for one in range(len(x)):
        term = outer(x[one : one + 1], g[one : one + 1])
        added = term.weighted_sum(torch.tensor([weight])).double().norm()
        assert added <= torch.tensor(weight).double() * term.squared_norms().sqrt() * (1 + 1e-6)


def cancelling(records: int, scale: float) -> tuple[Tensor, Tensor]:
    x, g = draw(records, 1, 40), draw(records, 1, 30, seed=1)
    return torch.cat([x, x * (1 + 1e-5)], dim=1), scale * torch.cat([g, -g], dim=1)


def test_terms_that_cancel_do_not_round_what_other_records_add():
    x, g = draw(40, 2, 40, seed=2), draw(40, 2, 30, seed=3)
    a, b = cancelling(40, 1e8)
    both = outer(torch.stack([a, x], 1).flatten(0, 1), torch.stack([b, g], 1).flatten(0, 1))
    norms, second = both.squared_norms().sqrt(), torch.arange(80) % 2 == 1
    weights = (1 / norms).float()
    alone = both.weighted_sum(torch.where(second, weights, 0)) + both.weighted_sum(torch.where(second, 0, weights))
    assert (both.weighted_sum(weights) - alone).norm() < 1e-5


def test_how_much_is_multiplied_out_at_a_time_does_not_change_the_sum(monkeypatch):
    x, g = cancelling(9, 1.0)
    weights, expected = torch.rand(9), outer(x, g).dense()
    sizes = []
    dense = Outer.dense
    monkeypatch.setattr(Outer, "dense", lambda self: sizes.append(len(self.x)) or dense(self))
    monkeypatch.setitem(terms.CHUNK, "cpu", 2 * 40 * 30)
    torch.testing.assert_close(outer(x, g).weighted_sum(weights), expected.weighted_sum(weights), rtol=1e-4, atol=1e-8)
    assert sizes == [2, 2, 2, 2, 1]


def test_records_of_weight_zero_are_not_multiplied_out(monkeypatch):
    monkeypatch.setattr(Outer, "dense", lambda self: pytest.fail("multiplied out"))
    assert not outer(*cancelling(4, 1.0)).weighted_sum(torch.zeros(4)).any()


def test_positions_that_looked_up_the_same_row_are_one():
    entries, g = torch.tensor([[2, 0, 2, 2], [1, 1, 0, 3]]), draw(2, 4, 3)
    term = Lookup.of(entries, g, 5)
    one_hot = torch.nn.functional.one_hot(entries, 5).float()
    expected = outer(g, one_hot).dense()
    torch.testing.assert_close(term.dense().values, expected.values)
    torch.testing.assert_close(term.squared_norms(), expected.squared_norms())
    weights = torch.tensor([0.3, 2.0])
    torch.testing.assert_close(term.weighted_sum(weights), expected.weighted_sum(weights))
    twice = add(term, Lookup.of(entries.flip(1), -g.flip(1), 5))  # the same the other way round cancels
    assert twice.squared_norms().max() < 1e-12


def test_a_row_that_cancels_leaves_nothing_behind():
    g = 1e8 * draw(3, 1, 4)
    term = Lookup.of(torch.tensor([[1, 1], [2, 2], [0, 1]]), torch.cat([g, -g], dim=1), 3)
    assert (term.squared_norms()[:2] < 1e-30).all()
    assert not term.weighted_sum(torch.tensor([1.0, 1.0, 0.0])).any()
