from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from dpbench.core.errors import DpbenchError
from dpbench.core.specs import Batch, Budget, Conditions, DatasetSpec, check_chosen_delta, default_delta


@pytest.mark.parametrize("epsilon", [-1.0, -math.inf, math.nan])
def test_negative_or_nan_epsilon_raises_an_error(epsilon):
    with pytest.raises(DpbenchError, match="ε must be a positive number"):
        Budget(epsilon, 1e-5)


@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1, 2.0, math.nan, math.inf])
def test_delta_outside_zero_and_one_raises_an_error(delta):
    with pytest.raises(DpbenchError, match="δ must lie in"):
        Budget(1.0, delta)


def test_zero_and_infinite_epsilon_are_allowed():
    assert [Budget(e, 1e-5).epsilon for e in (0.0, 1.0, math.inf)] == [0.0, 1.0, math.inf]


def test_delta_is_one_over_n_log_n():
    assert default_delta(60_000) == pytest.approx(1 / (60_000 * math.log(60_000)))
    for n in (1, 2, 3, 10):
        assert 0 < default_delta(n) < 1


def test_spec_has_shape_and_number_of_classes():
    spec = DatasetSpec("x", 3, 32, 10, 5, ("a", "b"), True)
    assert spec.shape == (3, 32, 32)
    assert spec.n_classes == 2
    assert DatasetSpec("x", 1, 28, 10, 5, None, False).n_classes == 0


def test_batch_length_is_that_of_its_tensors():
    images = torch.zeros(3, 1, 2, 2)
    assert len(Batch(images, torch.zeros(3))) == len(Batch(derived=torch.zeros(3, 7))) == 3
    assert len(Batch(condition=torch.zeros(2))) == 2
    assert len(Batch()) == 0


def test_map_applies_to_every_tensor_of_a_batch():
    batch = Batch(torch.arange(3), torch.arange(3) + 10).map(lambda t: t[1:])
    assert batch.images.tolist() == [1, 2]
    assert batch.labels.tolist() == [11, 12]
    assert batch.derived is None


@dataclass(frozen=True)
class Extended(Batch):
    """A batch with an additional field."""

    added: Tensor | None = None


def test_condition_is_labels_or_captions():
    labels, captions = torch.tensor([2, 0]), torch.zeros(2, 9, dtype=torch.uint8)
    assert Batch(condition=labels).labels is labels
    assert Batch(condition=labels).captions is None
    assert Batch(condition=captions).captions is captions
    assert Batch(condition=captions).labels is None
    assert Batch().labels is Batch().captions is None


def test_class_rows_are_labels_or_zeros():
    labels, captions = torch.tensor([2, 0]), torch.zeros(2, 9, dtype=torch.uint8)
    assert Batch(condition=labels).class_rows is labels
    for batch in (Batch(condition=captions), Batch(derived=torch.ones(2, 3))):
        assert torch.equal(batch.class_rows, torch.tensor([0, 0]))
    assert torch.equal(Conditions(2, (2, 0)).class_rows, labels)
    for conditions in (Conditions(2), Conditions(2, ("a", "b"))):
        assert torch.equal(conditions.class_rows, torch.tensor([0, 0]))
    assert Batch().class_rows.dtype == Conditions(0).class_rows.dtype == torch.long


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (lambda b: b.map(lambda t: t + 1), [1, 2, 3]),
        (lambda b: b.select(torch.tensor([2, 0, 2])), [2, 0, 2]),
        (lambda b: b.select(torch.tensor([True, False, True])), [0, 2]),
        (lambda b: b.repeat(2), [0, 0, 1, 1, 2, 2]),
        (lambda b: b.to("cpu"), [0, 1, 2]),
        (lambda b: b.map(lambda *t: torch.cat(t), b), [0, 1, 2, 0, 1, 2]),
    ],
    ids=["map", "select", "mask", "repeat", "to", "cat"],
)
def test_every_operation_keeps_every_field(operation, expected):
    rows = torch.arange(3)
    batch = operation(Extended(rows, rows, None, rows))
    assert isinstance(batch, Extended)
    assert {name: t.tolist() for name, t in batch.tensors.items()} == dict.fromkeys(
        ("images", "condition", "added"), expected
    )


def test_batches_with_different_fields_cannot_be_concatenated():
    with pytest.raises(ValueError, match=r"different fields: \['images'\], \['condition', 'images'\]"):
        Batch(torch.zeros(1)).map(torch.add, Batch(torch.zeros(1), torch.zeros(1)))


def test_a_dataset_declares_classes_or_captions():
    assert DatasetSpec("x", 1, 8, 10, 5, None, True, caption_bytes=64).n_classes == 0
    with pytest.raises(DpbenchError, match="'x' declares classes and captions"):
        DatasetSpec("x", 1, 8, 10, 5, ("a",), True, caption_bytes=64)


def test_conditions_are_labels_or_texts_or_nothing():
    assert (Conditions(2, (0, 1)).labels, Conditions(2, (0, 1)).texts) == ((0, 1), None)
    assert (Conditions(2, ("a", "b")).labels, Conditions(2, ("a", "b")).texts) == (None, ("a", "b"))
    assert Conditions(2).labels is Conditions(2).texts is None


def test_prompts_alternate_and_are_kept_in_chunks():
    conditions = Conditions.balanced(5, ["a cat", "a dog"])
    assert conditions.texts == ("a cat", "a dog", "a cat", "a dog", "a cat")
    assert [c.texts for c in conditions.chunks(2)] == [("a cat", "a dog"), ("a cat", "a dog"), ("a cat",)]
    assert Conditions.balanced(5, []) == Conditions(5)


def test_balanced_conditions_alternate():
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


@pytest.mark.parametrize(
    ("delta", "n", "warning"),
    [
        (1e-2, 100, "δ = 0.01 is not below 1/n = 0.01: .* the default is .* = 0.0022"),
        (2e-5, 60_000, "not below 1/n = 1.7e-05"),
        (1.2e-5, 60_000, "above 1e-05: a weak guarantee"),
        (2e-5, None, "above 1e-05: a weak guarantee"),
    ],
)
def test_a_chosen_delta_that_protects_little_is_warned_of(delta, n, warning):
    with pytest.warns(UserWarning, match=warning):
        check_chosen_delta(delta, n)


@pytest.mark.parametrize(("delta", "n"), [(1e-5, 60_000), (1e-5, None), (default_delta(200), 200), (9.4e-4, 200)])
def test_a_small_delta_and_the_default_of_a_small_dataset_are_not(delta, n, recwarn):
    check_chosen_delta(delta, n)
    assert not list(recwarn)
