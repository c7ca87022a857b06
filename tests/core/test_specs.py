from __future__ import annotations

import math

import pytest
import torch

from dpbench.core.errors import DpbenchError
from dpbench.core.specs import Batch, Budget, Conditions, DatasetSpec, default_delta


@pytest.mark.parametrize("epsilon", [-1.0, -math.inf, math.nan])
def test_an_epsilon_that_is_negative_or_no_number_is_refused(epsilon):
    with pytest.raises(DpbenchError, match="ε must be a positive number"):
        Budget(epsilon, 1e-5)


@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1, 2.0, math.nan, math.inf])
def test_a_delta_outside_zero_and_one_is_refused(delta):
    with pytest.raises(DpbenchError, match="δ must lie in"):
        Budget(1.0, delta)


def test_budgets_from_nothing_to_everything_are_allowed():
    assert [Budget(e, 1e-5).epsilon for e in (0.0, 1.0, math.inf)] == [0.0, 1.0, math.inf]


def test_delta_is_one_over_n_log_n():
    assert default_delta(60_000) == pytest.approx(1 / (60_000 * math.log(60_000)))
    for n in (1, 2, 3, 10):
        assert 0 < default_delta(n) < 1


def test_a_spec_gives_shape_and_number_of_classes():
    spec = DatasetSpec("x", 3, 32, 10, 5, ("a", "b"), True)
    assert spec.shape == (3, 32, 32)
    assert spec.n_classes == 2
    assert DatasetSpec("x", 1, 28, 10, 5, None, False).n_classes == 0


def test_a_batch_is_as_long_as_what_it_holds():
    images = torch.zeros(3, 1, 2, 2)
    assert len(Batch(images, torch.zeros(3))) == len(Batch(derived=torch.zeros(3, 7))) == 3
    assert len(Batch()) == 0


def test_a_change_reaches_every_tensor_of_a_batch():
    batch = Batch(torch.arange(3), torch.arange(3) + 10).map(lambda t: t[1:])
    assert batch.images.tolist() == [1, 2]
    assert batch.labels.tolist() == [11, 12]
    assert batch.derived is None


def test_balanced_conditions_take_turns():
    assert Conditions.balanced(7, 3).labels == (0, 1, 2, 0, 1, 2, 0)
    assert Conditions.balanced(7, 0) == Conditions(7, None)


@pytest.mark.parametrize("n_classes", [0, 3])
def test_chunks_are_the_same_conditions_in_order(n_classes):
    conditions = Conditions.balanced(7, n_classes)
    chunks = conditions.chunks(3)
    assert [c.count for c in chunks] == [3, 3, 1]
    if n_classes:
        assert sum((c.labels for c in chunks), ()) == conditions.labels
    else:
        assert {c.labels for c in chunks} == {None}
    assert Conditions(0).chunks(3) == []
