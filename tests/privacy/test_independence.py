from __future__ import annotations

import pytest
import torch
from torch import nn

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.privacy.independence import (
    PROBES,
    check_independent,
    check_layers,
    check_model,
    check_order_free,
    random_records,
)

SPEC = DatasetSpec("test", 3, 8, 100, 10, ("a", "b", "c"), False)
PROBE, OTHER = random_records(SPEC, 0), random_records(SPEC, 1)


def flat(batch: Batch) -> torch.Tensor:
    return batch.images.float().flatten(1) / 255


def check(compute) -> None:
    check_independent(compute, PROBE, OTHER, "the contribution")


def test_probes_are_random_records_of_the_declared_shape():
    assert PROBE.images.shape == (PROBES, 3, 8, 8)
    assert PROBE.images.dtype == torch.uint8
    assert PROBE.labels.dtype == torch.int64
    assert 0 <= PROBE.labels.min() <= PROBE.labels.max() < 3
    assert (PROBE.images != OTHER.images).flatten(1).any(1).all()
    assert random_records(DatasetSpec("t", 1, 4, 9, 9, None, True), 0).labels is None


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
def test_values_of_each_record_alone_pass(compute):
    check(compute)


@pytest.mark.parametrize(
    "compute",
    [
        lambda b: flat(b) - flat(b).mean(0),
        lambda b: nn.BatchNorm1d(192)(flat(b)),
        lambda b: flat(b) / flat(b).norm(),
        lambda b: flat(b).cumsum(0),
        lambda b: flat(b).flip(0),
        lambda b: torch.cdist(flat(b), flat(b)),
        lambda b: (flat(b).sum(1) == flat(b).sum(1).max()).long(),
        lambda b: flat(b) * nn.functional.one_hot(b.labels, 3).sum(0)[0],
    ],
    ids=["batch mean", "batch norm", "batch scale", "cumsum", "flip", "distances", "best of batch", "class count"],
)
def test_values_that_mix_records_are_refused(compute):
    with pytest.raises(PrivacyError, match="the contribution mixes records"):
        check(compute)


@pytest.mark.parametrize("compute", [lambda b: flat(b).sum(), lambda b: flat(b)[:2], lambda b: flat(b).T], ids=str)
def test_values_that_do_not_belong_to_records_are_refused(compute):
    with pytest.raises(PrivacyError, match="one value per record"):
        check(compute)


def test_values_that_change_between_calls_are_refused():
    generator = torch.Generator()
    with pytest.raises(PrivacyError, match="different values for the same records"):
        check(lambda b: flat(b) + torch.randn(len(b), 1, generator=generator))


def test_a_record_poisoned_by_anothers_nan_is_refused():
    def compute(b: Batch) -> torch.Tensor:
        x = flat(b)
        return x if x[0, 0] > x[1, 0] else x * float("nan")

    first, second = (0, 1) if PROBE.images[0, 0, 0, 0] > PROBE.images[1, 0, 0, 0] else (1, 0)
    order = torch.tensor([first, second, 2, 3])
    other = OTHER.map(lambda t: t.clone())
    other.images[0] = 0
    with pytest.raises(PrivacyError, match="mixes"):
        check_independent(compute, PROBE.map(lambda t: t[order]), other, "it")


def test_the_check_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    check(lambda b: nn.functional.dropout(flat(b)))
    assert torch.equal(before, torch.get_rng_state())


def test_values_that_depend_on_the_place_in_the_batch_are_refused():
    check_order_free(flat, PROBE, "it")
    with pytest.raises(PrivacyError, match="place in the batch"):
        check_order_free(lambda b: flat(b) * torch.arange(len(b))[:, None], PROBE, "it")
    noise = torch.randn(PROBES, 192)
    check(lambda b: flat(b) + noise)  # mixes nothing while records keep their places
    with pytest.raises(PrivacyError, match="place in the batch"):
        check_order_free(lambda b: flat(b) + noise, PROBE, "it")


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(4), nn.InstanceNorm1d(4, track_running_stats=True)], ids=str)
def test_layers_with_statistics_of_the_batch_are_refused_by_name(layer):
    model = nn.Sequential(nn.Linear(4, 4), layer)
    with pytest.raises(PrivacyError, match=r"layer '1' \((Batch|Instance)Norm1d\) mixes records; use GroupNorm"):
        check_layers(model)
    check_layers(model.eval())


def test_layers_without_statistics_of_the_batch_pass():
    check_layers(nn.Sequential(nn.GroupNorm(1, 4), nn.LayerNorm(4), nn.InstanceNorm1d(4), nn.Dropout()))


class Remembers(nn.Module):
    """Keeps something of the batch, as codebooks and running statistics do."""

    def __init__(self, trained: bool):
        super().__init__()
        self.layer = nn.Linear(4, 1)
        if trained:
            self.memory = nn.Parameter(torch.zeros(4), requires_grad=False)
        else:
            self.register_buffer("memory", torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            self.memory.lerp_(x.mean(0), 0.1)
        return self.layer(x)


@pytest.mark.parametrize("trained", [False, True], ids=["buffer", "frozen parameter"])
def test_a_model_that_remembers_the_batch_is_refused(trained):
    model = Remembers(trained)
    with pytest.raises(PrivacyError, match="changes 'memory'"):
        check_model(model, lambda: model(torch.ones(2, 4)))


def test_a_model_that_grows_a_buffer_is_refused():
    model = nn.Linear(4, 1)
    with pytest.raises(PrivacyError, match="changes 'seen'"):
        check_model(model, lambda: model.register_buffer("seen", torch.ones(2)))


def test_a_model_with_constant_buffers_passes():
    model = nn.Linear(4, 1)
    model.register_buffer("scale", torch.ones(1))
    check_model(model, lambda: model(torch.ones(2, 4)))
