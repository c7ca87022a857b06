"""A rehearsal measures on public records what a private step would meet."""

from __future__ import annotations

import pytest
import torch
from stepping import flat, linear, squares
from torch import Tensor, nn
from vaults import Images, a_sum, pixels, steps

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.privacy.mechanisms.choices import ExponentialChoice, NoisyMax
from dpbench.privacy.mechanisms.laplace import LaplaceSum
from dpbench.privacy.plan import Plan
from dpbench.privacy.public_gradients import compare
from dpbench.privacy.rehearsal import Rehearsal
from dpbench.privacy.stand_in import StandIn

SPEC = DatasetSpec("sensitive", 1, 4, 500, 10, ("a", "b"), True)
PLAN = Plan(steps(500, noise_multiplier=None, clip=2.0, expected_batch=50), a_sum(noise_multiplier=None))


def rehearse(rehearsal: Rehearsal, model: nn.Module, **options) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    for _ in rehearsal.dp_sgd("steps", model, squares, optimizer, torch.Generator(), **options):
        pass


def test_the_squared_signal_is_not_biased_by_sampling_noise() -> None:
    """Means of 4 records have a norm of about 2.5 where the true mean's is 0.5: the estimate averages to the latter."""
    random = torch.Generator().manual_seed(0)
    mean = torch.full((25,), 0.1, dtype=torch.double)
    found = []
    for _ in range(4000):
        records = mean + torch.randn(16, 4, 25, generator=random, dtype=torch.double)
        sums = records.sum(1)
        total = sums.sum(0)
        found.append(float(total @ total - (sums * sums).sum()) / (16 * 15 * 16))
        measured = compare([(s, s) for s in sums], 4, 100.0)
        if found[-1] > 0.02:  # elsewhere it is cut off
            assert measured.signal**2 == pytest.approx(found[-1])
    assert sum(found) / len(found) == pytest.approx(0.25, abs=0.02)


def test_what_a_measurement_says_of_records_in_great_number() -> None:
    random = torch.Generator().manual_seed(0)
    plain = 0.3 + torch.randn(64, 500, 25, generator=random, dtype=torch.double)
    clipped = plain * (3 / plain.norm(dim=2, keepdim=True)).clamp(max=1)
    found = compare(zip(clipped.sum(1), plain.sum(1), strict=True), 500, 3.0)
    h, true = clipped.mean((0, 1)), plain.mean((0, 1))
    assert found.weights == 25
    assert found.signal == pytest.approx(h.norm().item(), rel=0.01)
    assert found.rms == pytest.approx(clipped.norm(dim=2).square().mean().sqrt().item(), rel=0.05)
    assert found.pull == pytest.approx((true @ h / h.norm()).item(), rel=0.01)


def test_no_signal_is_a_small_one() -> None:
    random = torch.Generator().manual_seed(1)
    for _ in range(20):
        noise = torch.randn(4, 25, generator=random, dtype=torch.double)
        found = compare([(s, s) for s in noise], 1, 100.0)
        assert 0 < found.signal <= found.pull < 3


@pytest.mark.parametrize("engine", ["book-keeping", "opacus"])
def test_a_rehearsal_measures_the_gradients_of_a_model(engine: str) -> None:
    public, model = Images(pixels(320), 0), linear()
    rehearsal = Rehearsal(StandIn(public, SPEC), PLAN)
    rehearse(rehearsal, model, engine=engine)

    def gradient(x: Tensor) -> Tensor:
        loss = squares(model, Batch(x[None]), torch.Generator()).sum()
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])

    each = torch.stack([gradient(x) for x in public.images])
    clipped = each * (2 / each.norm(dim=1, keepdim=True)).clamp(max=1)
    for found in rehearsal.measured:  # with a learning rate of 0 all are of the same weights
        assert found.weights == each.shape[1]
        assert found.signal == pytest.approx(clipped.mean(0).norm().item(), rel=0.02)
        assert found.rms == pytest.approx(2.0, rel=0.05)
        assert found.pull == pytest.approx((each.mean(0) @ clipped.mean(0) / clipped.mean(0).norm()).item(), rel=0.02)
    assert len(rehearsal.measured) == 2


def test_between_the_measurements_it_takes_steps_without_noise() -> None:
    model = linear()
    rehearsal = Rehearsal(StandIn(Images(pixels(320), 0), SPEC), PLAN)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    before = squares(model, Batch(pixels(320)), torch.Generator()).mean()
    for _ in rehearsal.dp_sgd("steps", model, squares, optimizer, torch.Generator()):
        pass
    assert squares(model, Batch(pixels(320)), torch.Generator()).mean() < before
    assert rehearsal.measured[1].pull < rehearsal.measured[0].pull
    assert not model._forward_hooks


def test_views_and_derived_records_are_measured_too() -> None:
    public, model = Images(pixels(64), 0), linear()
    rehearsal = Rehearsal(StandIn(public, SPEC), PLAN)
    derived = rehearsal.derive(lambda batch: flat(batch) / 2)
    assert not public.reads  # nothing is derived before a batch asks for it
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)

    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        assert batch.derived is not None
        return model(2 * batch.derived).square().sum(1)

    for _ in derived.dp_sgd("steps", model, loss, optimizer, torch.Generator(), views=2, micro_batch=6):
        pass
    rehearse(rehearsal, linear())
    assert rehearsal.measured[0].signal == pytest.approx(rehearsal.measured[2].signal, rel=1e-4)


def test_sums_come_without_noise_and_as_if_there_were_as_many_records_as_declared() -> None:
    public = Images(pixels(64), 0)
    rehearsal = Rehearsal(StandIn(public, SPEC), PLAN)
    total = rehearsal.noisy_sum("sum", lambda batch: torch.full((len(batch), 1), 0.5))
    assert total.item() == pytest.approx(250)
    assert {i for read in public.reads for i in read} == set(range(64))


@pytest.mark.parametrize(("classes", "expected"), [(3, {0, 1}), (0, {0, 1})])
def test_stand_ins_have_labels_of_the_declared_range(classes: int, expected: set[int]) -> None:
    stand_in = StandIn(Images(pixels(64), classes), SPEC)
    batch = stand_in.batch(range(500))
    assert batch.labels is not None
    assert set(batch.labels.tolist()) == expected
    assert torch.equal(batch.labels, torch.cat([batch.labels[:64]] * 8)[:500])
    plain = DatasetSpec("plain", 1, 4, 500, 10, None, True)
    assert StandIn(Images(pixels(64), classes), plain).batch([1]).labels is None


def test_one_public_record_is_too_few() -> None:
    with pytest.raises(PrivacyError, match="at least two public ones"):
        Rehearsal(StandIn(Images(pixels(1), 0), SPEC), PLAN)


def test_a_fit_without_dp_sgd_has_nothing_to_measure() -> None:
    with pytest.raises(PrivacyError, match="no DP-SGD steps"):
        Rehearsal(StandIn(Images(pixels(64), 0), SPEC), PLAN).on_average()


def test_only_a_stand_in_can_be_rehearsed_on() -> None:
    with pytest.raises(PrivacyError, match=r"need public records \(StandIn\), not Images"):
        Rehearsal(Images(pixels(64), 2), PLAN)  # type: ignore[arg-type]


def test_the_sensitive_dataset_cannot_stand_in_for_itself() -> None:
    sensitive = Images(pixels(64), 2)
    with pytest.raises(PrivacyError, match="'test' is sensitive and cannot stand in for itself"):
        StandIn(sensitive, sensitive.spec)


def test_the_ledger_of_a_rehearsal_is_never_verified() -> None:
    rehearsal = Rehearsal(StandIn(Images(pixels(64), 2), SPEC), PLAN)
    assert rehearsal.ledger.accounting == "unverified"
    assert rehearsal.derive(flat).ledger.accounting == "unverified"


def test_the_other_queries_are_answered_without_noise() -> None:
    plan = Plan(
        LaplaceSum(name="counts", clip=1e6),
        ExponentialChoice(name="one", clip=1.0, candidates=2),
        NoisyMax(name="other", clip=1.0, candidates=2),
    )
    rehearsal = Rehearsal(StandIn(Images(pixels(30)), SPEC), plan)
    records = torch.stack([flat(StandIn(Images(pixels(30)), SPEC).batch([i]))[0] for i in range(500)])
    assert torch.allclose(rehearsal.laplace_sum("counts", flat), records.sum(0), rtol=1e-3)
    assert rehearsal.exponential_choice("one", lambda b: torch.tensor([0.2, 0.1]).repeat(len(b), 1)) == 0
    assert rehearsal.noisy_max("other", lambda b: torch.tensor([0.1, 0.2]).repeat(len(b), 1)) == 1
