"""The clipped sum of contributions, before any noise."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dpbench.core.errors import PrivacyError
from dpbench.privacy.clipping import clamped_sum, clipped_sum


def ones(n: int) -> Tensor:
    return torch.ones(n, dtype=torch.bool)


def test_each_records_vector_is_scaled_down_to_the_clip_never_up():
    values = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    for i, length in enumerate((1.0, 0.5, 0.0)):
        alone = clipped_sum(values[i : i + 1], ones(1), 1.0)
        assert alone.norm() == pytest.approx(length)
    torch.testing.assert_close(clipped_sum(values, ones(3), 1.0), torch.tensor([0.9, 1.2]))


def test_a_contribution_of_any_shape_and_type_is_one_vector():
    matrix = torch.full((2, 3, 4), 2.0)
    assert clipped_sum(matrix[:1], ones(1), 1.0).shape == (3, 4)
    assert clipped_sum(matrix[:1], ones(1), 1.0).norm() == pytest.approx(1)
    assert clipped_sum(torch.tensor([5, -7, 1]), ones(3), 2.0) == pytest.approx(1)  # one number per record
    assert clipped_sum(torch.tensor([[True, False], [True, True]]), ones(2), 9.0).tolist() == [2, 1]
    assert clipped_sum(matrix.half(), ones(2), 1.0).dtype == torch.float32


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 3e38], ids=str)
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
def test_a_record_that_is_not_finite_counts_as_zero_and_spoils_nothing(bad, sparse):
    values = torch.randn(4, 3, 2)
    expected = clipped_sum(values, torch.tensor([True, False, True, True]), 0.5)
    values[1, 2, 0] = bad
    values = values.to_sparse(2) if sparse else values
    torch.testing.assert_close(clipped_sum(values, ones(4), 0.5), expected)


@pytest.mark.parametrize("clip", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("size", [1e-30, 1e-3, 1.0, 1e18, 1e25, 3e38])
def test_no_record_however_large_or_small_exceeds_the_clip(clip, size):
    for values in (torch.full((1, 10_000), size), size * torch.eye(1, 10_000)):
        assert clipped_sum(values, ones(1), clip).double().norm() <= clip * (1 + 1e-6)


def test_padding_contributes_nothing():
    values = torch.randn(4, 3)
    real = torch.tensor([True, True, False, False])
    values[3] = float("nan")
    torch.testing.assert_close(clipped_sum(values, real, 0.5), clipped_sum(values[:2], ones(2), 0.5))
    assert not clipped_sum(values, ~ones(4), 0.5).any()


def test_sparse_contributions_are_summed_as_dense_ones():
    dense = torch.randn(6, 5, 4) * (torch.rand(6, 5, 1) < 0.4)
    real = torch.arange(6) != 2
    expected = clipped_sum(dense, real, 0.7)
    for sparse in (dense.to_sparse(), dense.to_sparse(2), dense.to_sparse(1)):
        torch.testing.assert_close(clipped_sum(sparse, real, 0.7), expected)
    # One place, named twice: 7, not 3 and 4.
    twice = torch.sparse_coo_tensor([[0, 0], [1, 1]], [3.0, 4.0], (1, 2), check_invariants=True)
    assert clipped_sum(twice, ones(1), 1.0).tolist() == [0, 1]


@pytest.mark.parametrize("order", [1, 2])
def test_a_tensor_that_hides_repeated_places_is_clipped_all_the_same(order):
    places = torch.tensor([[0] * 100, [1] * 100])
    for rest in ((), (2,)):
        values = torch.ones(100, *rest)
        hidden = torch.sparse_coo_tensor(places, values, (1, 2, *rest), is_coalesced=True, check_invariants=False)
        total = clipped_sum(hidden, ones(1), 1.0, order)
        assert torch.linalg.vector_norm(total, order).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("place", [[1, -1], [0, 3], [-1, 0], [2, 0]])
@pytest.mark.parametrize("hides", [False, True])
@pytest.mark.parametrize("sums", [clipped_sum, clamped_sum])
def test_a_place_outside_is_refused_not_merged_into_another_record(sums, place, hides):
    """-1 in the row of record 1 is where record 0 has its last number: `coalesce` would merge the two."""
    places = torch.tensor([[0, 2], place, [1, 0]]).T
    outside = torch.sparse_coo_tensor(places, torch.ones(3), (2, 3), is_coalesced=hides, check_invariants=False)
    with pytest.raises(PrivacyError, match=r"an index outside its shape \(3,\) per record"):
        sums(outside, ones(2), 1.0)


def test_autocast_does_not_touch_the_sum():
    values = torch.randn(8, 1000)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total = clipped_sum(values, ones(8), 1.0)
    torch.testing.assert_close(total, clipped_sum(values, ones(8), 1.0))
