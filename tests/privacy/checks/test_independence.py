from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.privacy.checks.independence import (
    check_closure,
    check_independent,
    check_layers,
    check_order_free,
    check_shape,
    equal_rows,
    random_half,
    replace,
    warn_if_not_finite,
)
from dpbench.privacy.checks.probes import Probes
from dpbench.privacy.noise import global_randomness

SPEC = DatasetSpec("test", 3, 8, 100, 10, ("a", "b", "c"), False)
SIZES = [4, 16, 500]


def flat(batch: Batch) -> torch.Tensor:
    return batch.images.float().flatten(1) / 255


def check(compute, size: int = 16, spec: DatasetSpec = SPEC, order: bool = False) -> None:
    def same_draws(batch: Batch) -> torch.Tensor:
        with global_randomness(0, "cpu"):
            return compute(batch)

    probe, other = Probes.of(spec).take(size)
    values = same_draws(probe)
    check_shape(values, size, "the contribution")
    check_independent(same_draws, values, probe, other, "the contribution")
    if order:
        check_order_free(same_draws, values, probe, "the contribution")


@pytest.mark.parametrize(
    "compute",
    [
        flat,
        lambda b: b.images,
        lambda b: torch.nn.functional.one_hot(b.labels, 3),
        lambda b: flat(b).sum(1),
        lambda b: flat(b)[:, :, None] @ flat(b)[:, None, :],
        lambda b: flat(b) - flat(b).mean(1, keepdim=True),
        lambda b: flat(b).to_sparse(),
        lambda b: flat(b) / 0,
        lambda b: nn.functional.dropout(flat(b)),
    ],
    ids=["flat", "uint8", "votes", "scalars", "matrices", "own mean", "sparse", "not finite", "dropout"],
)
@pytest.mark.parametrize("size", SIZES)
def test_values_of_each_record_alone_pass(compute, size):
    check(compute, size)


@pytest.mark.parametrize(
    "compute",
    [
        lambda b: flat(b) - flat(b).mean(0),
        lambda b: nn.BatchNorm1d(192)(flat(b)),
        lambda b: flat(b) / flat(b).norm(),
        lambda b: flat(b) / flat(b).max(),
        lambda b: flat(b).cumsum(0),
        lambda b: flat(b).roll(1, 0),
        lambda b: torch.cdist(flat(b), flat(b)),
        lambda b: (flat(b).sum(1) >= flat(b).sum(1).median()).long(),
        lambda b: flat(b) * nn.functional.one_hot(b.labels, 3).sum(0)[b.labels][:, None],
        lambda b: (flat(b) - flat(b).mean(0)).to_sparse(),
    ],
    ids=["mean", "batch norm", "norm", "max", "cumsum", "neighbour", "distances", "median", "class count", "sparse"],
)
@pytest.mark.parametrize("size", SIZES[1:])
def test_values_that_mix_records_are_refused(compute, size):
    with pytest.raises(PrivacyError, match="the contribution mixes records"):
        check(compute, size)


@pytest.mark.parametrize("place", range(4))
def test_values_that_depend_on_a_single_record_are_refused_wherever_it_is(place):
    """Every record is replaced while others stay: both halves take their turn."""
    with pytest.raises(PrivacyError, match="mixes records"):
        check_closure(lambda b: flat(b) - flat(b)[place], Probes.of(SPEC), 16, False, "the contribution", "cpu")


def test_weights_by_how_often_a_label_stands_in_the_batch_are_refused_with_100_classes():
    spec = DatasetSpec("many", 1, 4, 1000, 10, tuple(map(str, range(100))), False)
    for size in (16, 64, 256):
        with pytest.raises(PrivacyError, match="mixes records"):
            check(lambda b: 1 / torch.bincount(b.labels, minlength=100)[b.labels], size, spec)


@pytest.mark.parametrize(
    "compute",
    [lambda b: flat(b).sum(), lambda b: flat(b)[:2], lambda b: flat(b).T],
    ids=["one of all", "of two", "one per pixel"],
)
def test_values_that_do_not_belong_to_records_are_refused(compute):
    with pytest.raises(PrivacyError, match="one value per record"):
        check(compute)


def test_values_that_change_between_calls_are_refused():
    generator = torch.Generator()
    with pytest.raises(PrivacyError, match="different values for the same records"):
        check(lambda b: flat(b) + torch.randn(len(b), 1, generator=generator))


def test_a_record_poisoned_by_anothers_nan_is_refused():
    with pytest.raises(PrivacyError, match="mixes"):  # a black image's is undefined
        check(lambda b: flat(b) + 0 * (flat(b).sum(1) / flat(b).sum(1)).sum())


def test_values_that_depend_on_the_place_in_the_batch_are_refused():
    check(flat, order=True)
    noise = torch.randn(16, 192)
    for compute in (lambda b: flat(b) * torch.arange(len(b))[:, None], lambda b: flat(b) + noise):
        check(compute)  # mixes nothing while records keep their places
        with pytest.raises(PrivacyError, match="place in the batch"):
            check(compute, order=True)


def test_every_pair_of_places_is_told_apart_by_some_seed():
    apart = torch.zeros(10, 10, dtype=torch.bool)
    for seed in range(50):
        half = random_half(10, seed)
        assert half.sum() == 5
        apart |= half[:, None] != half[None, :]
    assert apart.sum() == 90


def test_replacing_takes_images_and_labels_together():
    probe, other = Probes.of(SPEC).take(6)
    half = random_half(6, 0)
    mixed = replace(probe, other, half)
    assert torch.equal(mixed.images[half], other.images[half])
    assert torch.equal(mixed.images[~half], probe.images[~half])
    assert torch.equal(mixed.labels, torch.where(half, other.labels, probe.labels))


def test_sparse_values_are_compared_row_by_row():
    rows = torch.tensor([True, False, True])
    a = torch.eye(3).to_sparse()
    assert equal_rows(a, a, rows)
    assert equal_rows(a, torch.diag(torch.tensor([1.0, 2.0, 1.0])).to_sparse(), rows)
    assert not equal_rows(a, torch.diag(torch.tensor([1.0, 2.0, 3.0])).to_sparse(), rows)
    assert not equal_rows(a, torch.eye(3).flip(1).to_sparse(), rows)
    assert not equal_rows(a, torch.eye(3), rows)


def test_values_that_are_not_finite_are_a_warning():
    with pytest.warns(UserWarning, match=r"the sum is not finite for 50% of synthetic probe records.*overflow in fp16"):
        warn_if_not_finite(torch.tensor([[1.0, float("inf")], [1.0, 2.0]]), "the sum")
    with pytest.warns(UserWarning, match="not finite"):
        warn_if_not_finite(torch.tensor([[1.0, float("nan")]]).to_sparse(), "the sum")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_not_finite(torch.ones(3, 2), "the sum")
        warn_if_not_finite(torch.ones(3, dtype=torch.long), "the sum")


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(4), nn.InstanceNorm1d(4, track_running_stats=True)], ids=str)
def test_layers_with_statistics_of_the_batch_are_refused_by_name(layer):
    model = nn.Sequential(nn.Linear(4, 4), layer)
    with pytest.raises(PrivacyError, match=r"layer '1' \((Batch|Instance)Norm1d\) mixes records; use GroupNorm"):
        check_layers(model)
    check_layers(model.eval())


def test_layers_without_statistics_of_the_batch_pass():
    check_layers(nn.Sequential(nn.GroupNorm(1, 4), nn.LayerNorm(4), nn.InstanceNorm1d(4), nn.Dropout()))
