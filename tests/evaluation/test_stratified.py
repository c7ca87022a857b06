import numpy as np
import pytest

from dpbench.evaluation.stratified import stratified_order, stratified_part


@pytest.mark.parametrize("labels", [np.arange(1000) % 10, np.sort(np.arange(1000) % 10)], ids=["in turn", "sorted"])
@pytest.mark.parametrize("most", [10, 100, 250, 999])
def test_a_part_has_the_proportions_of_the_whole(labels, most) -> None:
    counts = np.bincount(labels[stratified_part(labels, 1000, most)], minlength=10)
    assert counts.sum() == most
    assert np.abs(counts - most / 10).max() < 1


def test_rare_classes_are_not_drawn_more_often() -> None:
    labels = np.repeat([0, 1, 2], [900, 90, 10])
    assert np.bincount(labels[stratified_part(labels, 1000, 100)]).tolist() == [90, 9, 1]


def test_an_order_is_a_fixed_permutation_without_pattern() -> None:
    order = stratified_order(np.arange(10_000) % 10, 10_000)
    assert sorted(order.tolist()) == list(range(10_000))
    assert np.array_equal(order, stratified_order(np.arange(10_000) % 10, 10_000))
    assert abs(np.corrcoef(order, np.arange(10_000))[0, 1]) < 0.05


def test_a_set_without_classes_and_a_set_below_the_limit() -> None:
    part = stratified_part(None, 1000, 100)
    assert len(set(part.tolist())) == 100
    assert np.array_equal(part, np.sort(part))
    assert stratified_part(None, 5, 10).tolist() == [0, 1, 2, 3, 4]
