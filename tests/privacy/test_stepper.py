"""DP-SGD: what a step is, whom it samples, and its receipts."""

from __future__ import annotations

import json

import pytest
import torch
from stepping import autograd_sum, flat, linear, move, squares, start, weights
from torch import Tensor, nn
from vaults import SIGMAS, Images, a_sum, pixels, steps, vault

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.gradients.engines import ENGINES
from dpbench.privacy.stepper import DPSGDStepper

# What a step is


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("micro_batch", [1, 4, 64])
def test_a_step_is_the_sum_of_clipped_gradients_over_the_expected_batch(engine, views, micro_batch):
    images = pixels(10)
    found = move(images, steps(10, clip=1.7), engine=engine, views=views, micro_batch=micro_batch)
    expected = autograd_sum(images, 1.7)
    assert (found - expected).norm() < 1e-4 * expected.norm()


def test_the_divisor_is_the_expected_batch_not_the_realised_one():
    model, before, images = linear(), weights(linear()), pixels(40)
    records = Images(images)
    mechanism = steps(40, expected_batch=20)
    next(start(vault(records, mechanism), model))
    sampled = [i for read in records.reads for i in read]
    expected = autograd_sum(images[sampled], 1.0) / 20
    torch.testing.assert_close(before - weights(model), expected, rtol=1e-3, atol=1e-4)


def test_neighbouring_datasets_differ_by_at_most_the_clip():
    images = pixels(8)
    whole = move(images, steps(8, clip=0.7))
    for i in range(8):
        rest = move(torch.cat([images[:i], images[i + 1 :]]), steps(7, clip=0.7))
        assert 0.7 * (1 - 1e-3) <= (whole - rest).norm() <= 0.7 * (1 + 1e-3)


def test_a_record_with_an_undefined_loss_counts_as_one_that_is_absent():
    images = pixels(8)
    images[3] = 0
    images[:3, :, 0, 0] = images[4:, :, 0, 0] = 1

    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        return squares(model, batch, generator) / batch.images[:, 0, 0, 0]

    rest = torch.cat([images[:3], images[4:]])
    torch.testing.assert_close(move(images, steps(8), loss), move(rest, steps(7), loss), rtol=1e-4, atol=1e-5)


def test_parameters_and_optimizer_state_learn_from_the_noisy_gradient_only():
    model, frozen = linear(), nn.Linear(3, 1).requires_grad_(False)
    both = nn.Sequential(model, frozen)
    optimizer = torch.optim.Adam(both.parameters(), lr=0.1)
    seen = []
    optimizer.register_step_pre_hook(lambda *_: seen.append([p.grad for p in both.parameters()]))
    before = weights(frozen)
    for _ in start(vault(Images(pixels(6)), steps(6, noise_multiplier=1.0, steps=2)), both, optimizer=optimizer):
        assert all(p.grad is None for p in both.parameters())
    assert [[g is not None for g in grads] for grads in seen] == [[True, True, False, False]] * 2
    assert torch.equal(before, weights(frozen))


def test_a_public_gradient_left_on_the_model_does_not_enter_the_step():
    model = linear()
    nn.functional.mse_loss(model(torch.randn(3, 16)), torch.randn(3, 3)).backward()
    before = weights(model)
    next(start(vault(Images(pixels(6)), steps(6)), model))
    expected = autograd_sum(pixels(6), 1.0) / 6
    torch.testing.assert_close(before - weights(model), expected, rtol=1e-4, atol=1e-5)


# Sampling


def test_steps_draw_poisson_samples_at_the_planned_rate():
    n, batch, count = 50, 15, 300
    records = Images(pixels(n))
    private = vault(records, steps(n, expected_batch=batch, steps=count))
    drawn = torch.zeros(count, n)
    for i, _ in enumerate(start(private, linear(), micro_batch=n)):
        for read in records.reads:
            drawn[i, read] += 1
        records.reads.clear()
    assert drawn.max() == 1
    sizes, rate = drawn.sum(1), batch / n
    assert abs(sizes.mean() - batch) < SIGMAS * (n * rate * (1 - rate) / count) ** 0.5
    assert abs(sizes.var() / (n * rate * (1 - rate)) - 1) < SIGMAS * (2 / count) ** 0.5
    each = drawn.mean(0)
    assert ((each - rate).abs() < SIGMAS * (rate * (1 - rate) / count) ** 0.5).all()


def test_an_expected_batch_of_everyone_takes_everyone_every_time():
    records = Images(pixels(10))
    for _ in start(vault(records, steps(10, steps=2)), linear(), micro_batch=4):
        assert sorted(i for read in records.reads for i in read) == list(range(10))
        records.reads.clear()


def test_batches_of_any_size_are_processed_whole_in_padded_micro_batches():
    sizes = []

    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        sizes.append(len(batch))
        return squares(model, batch, generator)

    stepper = start(vault(Images(pixels(25)), steps(25)), linear(), loss, micro_batch=8, views=2)
    sizes.clear()
    next(stepper)
    assert sizes == [8] * 7


@pytest.mark.parametrize("views", [1, 4])
def test_the_size_of_a_micro_batch_follows_the_footprint_and_the_size_of_samples(monkeypatch, views):
    def sizes(records: int, rows_that_fit: int) -> set[int]:
        seen = []

        def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
            seen.append(len(batch))
            return squares(model, batch, generator)

        monkeypatch.setattr("dpbench.privacy.gradients.engine.rows_that_fit", lambda each, device: rows_that_fit)
        stepper = start(vault(Images(pixels(records)), steps(records)), linear(), loss, views=views)
        seen.clear()
        next(stepper)
        return set(seen)

    assert sizes(112, 16) == {16}
    assert sizes(100, 4096) == {100 * views}


# Receipts


def test_every_step_is_on_disk_before_the_model_moves(tmp_path):
    path, model = tmp_path / "ledger.json", linear()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    written = []
    optimizer.register_step_pre_hook(
        lambda *_: written.append(json.loads(path.read_text())["mechanisms"][0]["releases_spent"])
    )
    private = vault(Images(pixels(5)), steps(5, steps=3), path=path)
    receipts = list(start(private, model, optimizer=optimizer))
    assert written == [1, 2, 3] == [r.number for r in receipts]
    assert {(r.mechanism, r.planned) for r in receipts} == {("steps", 3)}
    private.ledger.check_complete()


def test_the_model_does_not_move_when_the_receipt_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    model = linear()
    before = weights(model)
    with pytest.raises(Exception, match="cannot write"):
        next(start(vault(Images(pixels(5)), steps(5), path=tmp_path / "file" / "l.json"), model))
    assert torch.equal(before, weights(model))


def test_the_stepper_stops_after_the_planned_steps_and_says_how_many():
    private = vault(Images(pixels(5)), steps(5, steps=3))
    stepper = start(private, linear())
    assert isinstance(stepper, DPSGDStepper)
    assert len(stepper) == 3
    assert len(list(stepper)) == 3
    with pytest.raises(StopIteration):
        next(stepper)
    with pytest.raises(PrivacyError, match="all 3 planned"):
        start(private, linear())


def test_steppers_of_one_mechanism_share_its_steps():
    private = vault(Images(pixels(5)), steps(5, steps=3))
    first, second = start(private, linear()), start(private, linear())
    next(first)
    assert len(list(second)) == 2
    assert list(first) == []
    private.ledger.check_complete()


def test_a_step_that_fails_is_neither_spent_nor_taken_and_closes_the_vault():
    model, fail = linear(), [False]

    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        losses = squares(model, batch, generator)
        if fail[0]:
            raise RuntimeError("out of memory")
        return losses

    private = vault(Images(pixels(6)), steps(6), a_sum())
    derived = private.derive(flat)
    stepper, before = start(private, model, loss), weights(model)
    fail[0] = True
    with pytest.raises(RuntimeError, match="out of memory"):
        next(stepper)
    assert torch.equal(before, weights(model))
    assert private.ledger.spent == {"steps": 0, "sum": 0}
    assert all(p.grad is None for p in model.parameters())
    fail[0] = False
    for query in (
        lambda: next(stepper),
        lambda: start(private, linear()),
        lambda: private.noisy_sum("sum", flat),
        lambda: private.derive(flat),
        lambda: private.unsafe_records("to look at them"),
        lambda: derived.noisy_sum("sum", lambda batch: batch.derived),
    ):
        with pytest.raises(PrivacyError, match=r"closed: step 1 of 'steps' failed \(RuntimeError\)"):
            query()
    assert private.ledger.accounting == "verified"


def test_the_last_step_takes_the_engine_off_the_model():
    for engine in ENGINES:
        model = linear()
        private = vault(Images(pixels(5)), steps(5), steps(5, name="more"))
        next(start(private, model, engine=engine))
        assert not model._forward_hooks
        assert set(vars(model.weight)) == set(vars(linear().weight))
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        next(private.dp_sgd("more", model, squares, optimizer, torch.Generator(), engine=engine))
