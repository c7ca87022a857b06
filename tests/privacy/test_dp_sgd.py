from __future__ import annotations

import json
import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from vaults import SIGMAS, Images, Untouchable, a_sum, pixels, steps, vault

from dpbench.core.errors import PrivacyError, UnknownName
from dpbench.core.specs import Batch
from dpbench.privacy.dp_sgd import DPSGDStepper
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.private_data import ENGINES, PrivateData

BATCHED = ("book-keeping", "opacus")  # engines that give the loss the whole batch; vmap gives it one record at a time
WIDE = 20_000  # outputs of a wide layer: 17 · 20,000 weights, each an observation of the noise


def flat(batch: Batch) -> Tensor:
    return batch.images.float().flatten(1) / 255


def squares(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    return (model(flat(batch)) ** 2).sum(1)


def nothing(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """A loss whose gradient is zero."""
    return 0 * model(flat(batch)).sum(1)


def linear(outputs: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(16, outputs)


def weights(model: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector([p.detach() for p in model.parameters()]).clone()


def start(private: PrivateData, model: nn.Module, loss=squares, optimizer=None, seed: int = 0, **settings):
    """A stepper that moves the weights by minus the noisy mean gradient."""
    optimizer = optimizer or torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    return private.dp_sgd("steps", model, loss, optimizer, torch.Generator().manual_seed(seed), **settings)


def move(images: Tensor, mechanism, loss=squares, model: nn.Module | None = None, **settings) -> Tensor:
    """The sum that one step is made of: minus how far the weights went, times the expected batch."""
    model = model or linear()
    before = weights(model)
    next(start(vault(Images(images), mechanism), model, loss, **settings))
    return (before - weights(model)) * mechanism.expected_batch


def autograd_sum(images: Tensor, clip: float) -> Tensor:
    """Σ clip(gradient), by one backward pass per record."""
    model, total = linear(), 0
    for image in images:
        loss = squares(model, Batch(image[None]), torch.Generator()).sum()
        gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])
        total = total + gradient * min(1.0, clip / gradient.norm())
    return total


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


# Noise


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("n", [1, 7])
def test_noise_has_multiplier_times_clip_as_deviation(n, engine):
    mechanism = steps(n, noise_multiplier=3.0, clip=0.5)
    noise = move(pixels(n), mechanism, nothing, linear(WIDE), engine=engine)
    assert abs(noise.mean()) < SIGMAS * 1.5 / len(noise) ** 0.5 + 1e-3  # fp32 weights round what is taken from them
    assert abs(noise.std() / 1.5 - 1) < SIGMAS * (0.5 / len(noise)) ** 0.5 + 1e-4


def test_noise_is_drawn_afresh_for_every_step_and_parameter():
    model, positions = linear(WIDE), []
    for _ in start(vault(Images(pixels(3)), steps(3, noise_multiplier=1.0, steps=3)), model, nothing):
        positions.append(weights(model))
    moves = torch.stack([b - a for a, b in pairwise(positions)])
    rows = moves.reshape(2, -1)[:, : 16 * WIDE].reshape(2, WIDE, 16)
    for a, b in [(rows[0], rows[1]), (rows[0, :-1], rows[0, 1:]), (rows[0, :, :-1], rows[0, :, 1:])]:
        correlation = torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1]
        assert abs(correlation) < SIGMAS / a.numel() ** 0.5


def test_the_mean_of_a_noisy_step_is_the_clipped_sum():
    images, deviation, repeats = pixels(4), 0.5, 400
    model = linear()
    private = vault(Images(images), steps(4, noise_multiplier=0.5, steps=repeats))
    stepper, origin, moves = start(private, model), weights(model), []
    for _ in stepper:
        moves.append((origin - weights(model)) * 4)
        nn.utils.vector_to_parameters(origin.clone(), model.parameters())
    error = torch.stack(moves).mean(0) - autograd_sum(images, 1.0)
    assert (error.abs() < SIGMAS * deviation / repeats**0.5 + 1e-4).all()


def test_a_batch_that_turns_out_empty_is_noise_alone(monkeypatch):
    records = Images(pixels(50))
    mechanism = steps(50, expected_batch=1, noise_multiplier=2.0)
    model = linear(WIDE)
    before = weights(model)
    private = vault(records, mechanism)
    monkeypatch.setattr(private._noise, "poisson_sample", lambda n, rate: [])
    receipt = next(start(private, model))
    assert records.reads == []
    assert receipt.number == 1
    noise = before - weights(model)
    assert abs(noise.std() / 2 - 1) < SIGMAS * (0.5 / len(noise)) ** 0.5 + 1e-4


def test_neither_seeds_nor_the_generator_reach_noise_and_sample():
    moves, reads = [], []
    for _ in range(2):
        records = Images(pixels(200))
        model = linear()
        torch.manual_seed(0)
        stepper = start(vault(records, steps(200, expected_batch=100, noise_multiplier=1.0)), model, seed=5)
        torch.manual_seed(0)
        next(stepper)
        moves.append(weights(model))
        reads.append(records.reads)
    assert not torch.isclose(*moves).all()
    assert reads[0] != reads[1]


def test_reproducible_noise_repeats_the_whole_run():
    def noisy(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        x = flat(batch) + torch.randn(len(batch), 16, generator=generator)
        return (nn.functional.dropout(model(x)) ** 2).sum(1)

    def run(noise: int, seed: int) -> Tensor:
        model = linear()
        mechanism = steps(40, expected_batch=20, noise_multiplier=1.0, steps=3)
        private = vault(Images(pixels(40)), mechanism, noise=NoiseSource(reproducible_seed=noise))
        for _ in start(private, model, noisy, seed=seed):
            pass
        return weights(model)

    first = run(noise=1, seed=2)
    torch.manual_seed(99)
    assert torch.equal(first, run(noise=1, seed=2))
    assert not torch.isclose(first, run(noise=1, seed=3)).all()
    assert not torch.isclose(first, run(noise=2, seed=2)).any()


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
        assert [i for read in records.reads for i in read] == list(range(10))
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
def test_the_size_of_a_micro_batch_follows_the_footprint_and_never_exceeds_the_expected_batch(monkeypatch, views):
    def sizes(records: int, rows_that_fit: int) -> set[int]:
        seen = []

        def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
            seen.append(len(batch))
            return squares(model, batch, generator)

        monkeypatch.setattr("dpbench.privacy.gradients.rows_that_fit", lambda each, device: rows_that_fit)
        stepper = start(vault(Images(pixels(records)), steps(records)), linear(), loss, views=views)
        seen.clear()
        next(stepper)
        return set(seen)

    assert sizes(100, 16) == {16}
    assert sizes(10, 4096) == {10 * views}


# What the private batch must not reach


def test_generators_afterwards_say_nothing_about_the_size_of_the_batch():
    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        x = flat(batch) + torch.randn(len(batch), 16, generator=generator)
        return (nn.functional.dropout(model(x)) ** 2).sum(1)

    states = []
    for n in (4, 40):
        model, generator = linear(), torch.Generator().manual_seed(1)
        torch.manual_seed(1)
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        private = vault(Images(pixels(n)), steps(n, steps=2))
        for _ in private.dp_sgd("steps", model, loss, optimizer, generator, micro_batch=4):
            pass
        states.append((generator.get_state(), torch.get_rng_state()))
    assert torch.equal(states[0][0], states[1][0])
    assert torch.equal(states[0][1], states[1][1])


def test_who_knows_the_seed_does_not_know_the_losss_randomness():
    draws = []

    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        draws.append(torch.rand(1, generator=generator).item())
        return squares(model, batch, generator)

    for _ in range(2):
        stepper = start(vault(Images(pixels(5)), steps(5)), linear(), loss, seed=1)
        next(stepper)
    first, second = draws[: len(draws) // 2], draws[len(draws) // 2 :]
    assert first[:-1] == second[:-1]  # the checks, on random records
    assert first[-1] != second[-1]  # the step


def test_the_checks_leave_generators_and_model_alone():
    model, generator = linear(), torch.Generator().manual_seed(1)
    states = generator.get_state(), weights(model)
    private = vault(Untouchable(pixels(5)), steps(5))

    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        return squares(model, batch, generator) * torch.rand(len(batch), generator=generator)

    private.dp_sgd("steps", model, loss, torch.optim.SGD(model.parameters(), lr=1.0), generator)
    assert torch.equal(states[0], generator.get_state())
    assert torch.equal(states[1], weights(model))
    assert all(p.grad is None for p in model.parameters())


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


def test_a_step_that_fails_is_neither_spent_nor_taken():
    model, fail = linear(), [False]

    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        losses = squares(model, batch, generator)
        if fail[0]:
            raise RuntimeError("out of memory")
        return losses

    private = vault(Images(pixels(6)), steps(6))
    stepper, before = start(private, model, loss), weights(model)
    fail[0] = True
    with pytest.raises(RuntimeError, match="out of memory"):
        next(stepper)
    assert torch.equal(before, weights(model))
    assert private.ledger.spent == {"steps": 0}
    assert all(p.grad is None for p in model.parameters())
    fail[0] = False
    next(stepper)
    torch.testing.assert_close((before - weights(model)) * 6, autograd_sum(pixels(6), 1.0), rtol=1e-4, atol=1e-4)


def test_the_last_step_takes_the_engine_off_the_model():
    for engine in ENGINES:
        model = linear()
        private = vault(Images(pixels(5)), steps(5), steps(5, name="more"))
        next(start(private, model, engine=engine))
        assert not model._forward_hooks
        assert set(vars(model.weight)) == set(vars(linear().weight))
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        next(private.dp_sgd("more", model, squares, optimizer, torch.Generator(), engine=engine))


# Refusals, all before a record is read


class Normed(nn.Module):
    def __init__(self, norm: nn.Module):
        super().__init__()
        self.layer, self.norm = nn.Linear(16, 4), norm

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.layer(x))


class Centred(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x - x.mean(0))


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 4)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        return self.layer(x)


class Places(nn.Module):
    """Position embeddings broadcast over the batch: the losses are independent, the gradients are not."""

    def __init__(self, length: int):
        super().__init__()
        self.place, self.head = nn.Embedding(length, 16 // length), nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x.unflatten(1, (len(self.place.weight), -1))
        return self.head((x + self.place(torch.arange(x.shape[1]))).flatten(1))


def contrast(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    y = model(flat(batch))
    return torch.cdist(y, y).sum(1)


def hardest(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    losses = squares(model, batch, generator)
    return losses * (losses >= losses.median())


def refuse(model: nn.Module, loss, match: str, records: int = 64, name: str = "steps", **settings) -> None:
    private = vault(Untouchable(pixels(records)), steps(records), a_sum())
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with pytest.raises((PrivacyError, UnknownName), match=match):
        private.dp_sgd(name, model, loss, optimizer, torch.Generator(), **settings)
    assert private.ledger.spent == {"steps": 0, "sum": 0}
    assert not any(m._forward_hooks for m in model.modules())


@pytest.mark.parametrize(
    ("model", "loss", "match"),
    [
        (Normed(nn.BatchNorm1d(4)), squares, "BatchNorm1d.*mixes records"),
        (Centred(), squares, "mixes records"),
        (linear(), contrast, "mixes records"),
        (linear(), hardest, "mixes records"),
        (Counting(), squares, "changes 'seen'"),
        (linear(), lambda m, b, g: squares(m, b, g).mean(), r"shape \(4,\), not \(\)"),
        (linear(), lambda m, b, g: squares(m, b, g)[:, None], r"shape \(4,\), not \(4, 1\)"),
        (linear(), lambda m, b, g: squares(m, b, g) * torch.rand(1, generator=OWN), "different values"),
        (linear(), lambda m, b, g: flat(b).sum(1), "does not depend on the model|trained layer"),
    ],
    ids=["batch norm", "batch mean", "contrastive", "hardest", "buffer", "scalar", "matrix", "own", "constant"],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_dp_sgd_refuses_before_a_record_is_read(model, loss, match, engine):
    refuse(model, loss, match, engine=engine)


OWN = torch.Generator()


@pytest.mark.parametrize("engine", BATCHED)
def test_a_parameter_used_outside_its_layer_is_refused(engine):
    refuse(linear(), lambda m, b, g: (flat(b) @ m.weight.T).sum(1), "trained layer|misses part", engine=engine)


@pytest.mark.parametrize("engine", BATCHED)
@pytest.mark.parametrize("length", [2, 4, 8, 16])
@pytest.mark.parametrize("micro_batch", [8, 16])
def test_a_layer_that_broadcasts_over_the_batch_is_refused(engine, length, micro_batch):
    refuse(Places(length), squares, "mixes records|give every layer", engine=engine, micro_batch=micro_batch)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_loss_averaged_over_views_by_itself_is_refused(engine):
    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        return squares(model, batch, generator).reshape(-1, 3).mean(1)

    refuse(linear(), loss, r"shape \(12,\), not \(4,\)", views=3, engine=engine)


@pytest.mark.parametrize("engine", BATCHED)
def test_rows_in_another_order_inside_the_loss_are_refused(engine):
    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        return squares(model, batch.map(lambda t: t.flip(0)), generator).flip(0)

    refuse(linear(), loss, "mixes records", engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_loss_that_would_train_something_outside_the_model_is_refused(engine):
    outside = nn.Linear(16, 16)

    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        return (model(outside(flat(batch))) ** 2).sum(1)

    refuse(linear(), loss, "outside the model", engine=engine)
    outside.requires_grad_(False)
    model = linear()
    next(start(vault(Images(pixels(5)), steps(5)), model, loss, engine=engine))
    assert outside.weight.grad is None


@pytest.mark.parametrize(
    ("name", "match"), [("other", "no mechanism 'other'"), ("sum", "planned as NoisySum, not as DPSGD")]
)
def test_what_is_not_planned_as_dp_sgd_is_refused(name, match):
    refuse(linear(), squares, match, name=name)


def test_a_plan_for_another_number_of_records_is_refused():
    private = vault(Untouchable(pixels(50)), steps(500, expected_batch=20))
    with pytest.raises(PrivacyError, match="planned for 500 records, but the dataset has 50"):
        start(private, linear())
    assert private.ledger.spent == {"steps": 0}


def test_an_unknown_engine_is_answered_with_the_known():
    refuse(linear(), squares, "unknown engine 'opacu'; did you mean opacus", engine="opacu")


def test_layers_that_start_to_mix_records_later_stop_the_next_step():
    model = nn.Sequential(nn.Linear(16, 4), nn.BatchNorm1d(4, affine=False)).eval()
    private = vault(Images(pixels(8)), steps(8, steps=2))
    stepper = start(private, model)
    next(stepper)
    model.train()
    before = model[1].running_mean.clone()
    with pytest.raises(PrivacyError, match="mixes records"):
        next(stepper)
    assert torch.equal(before, model[1].running_mean)
    assert private.ledger.spent == {"steps": 1}


def test_parameters_that_are_unfrozen_later_stop_the_next_step():
    model = nn.Sequential(nn.Linear(16, 4).requires_grad_(False), nn.Linear(4, 1))
    stepper = start(vault(Images(pixels(8)), steps(8, steps=2)), model)
    next(stepper)
    model[0].requires_grad_(True)
    with pytest.raises(PrivacyError, match="trainable parameters changed"):
        next(stepper)
    assert all(p.grad is None for p in model.parameters())


# What is accepted


@pytest.mark.parametrize("engine", ENGINES)
def test_dropout_and_noise_from_the_generator_are_accepted(engine):
    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        return squares(model, batch, generator) * torch.rand(len(batch), generator=generator)

    model = nn.Sequential(nn.Dropout(0.3), nn.Linear(16, 8), nn.LayerNorm(8), nn.Dropout(0.3))
    assert next(start(vault(Images(pixels(9)), steps(9)), model, loss, engine=engine, views=3)).number == 1


@pytest.mark.parametrize("norm", [nn.GroupNorm(2, 4), nn.LayerNorm(4), nn.InstanceNorm1d(4)], ids=repr)
def test_norms_within_a_record_are_accepted(norm):
    class Model(Normed):
        def forward(self, x: Tensor) -> Tensor:
            y = self.layer(x.unflatten(1, (2, 8)).repeat(1, 1, 2)).mT
            return self.norm(y if not isinstance(norm, nn.LayerNorm) else y.mT).flatten(1)

    assert next(start(vault(Images(pixels(9)), steps(9)), Model(norm), engine="opacus")).number == 1


def test_losses_in_bf16_are_accepted():
    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return squares(model, batch, generator).float()

    model = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.LayerNorm(32), nn.Linear(32, 4))
    for engine in BATCHED:  # torch.func knows no autocast in layer norms
        mechanism = steps(9, clip=0.1)
        assert move(pixels(9), mechanism, loss, model, engine=engine).norm() <= 0.9 * (1 + 1e-3)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_vault_in_bf16_computes_the_loss_in_bf16_and_keeps_the_clip(engine):
    seen = set()

    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        output = model(flat(batch))
        seen.add(output.dtype)
        return (output**2).sum(1)

    moves = {}
    for precision in ("fp32", "bf16"):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 4))
        private = vault(Images(pixels(9)), steps(9, clip=0.1))
        private.precision = precision
        before = weights(model)
        next(start(private, model, loss, engine=engine))
        moves[precision] = (before - weights(model)) * 9
    assert seen == {torch.float32, torch.bfloat16}
    assert moves["bf16"].norm() <= 0.9 * (1 + 1e-3)
    assert (moves["bf16"] - moves["fp32"]).norm() < 0.05 * moves["fp32"].norm()
    assert not torch.equal(moves["bf16"], moves["fp32"])


def test_derived_values_train_a_model():
    private = vault(Images(pixels(12)), steps(12, clip=math.pi)).derive(flat)
    model = linear()
    before = weights(model)
    next(start(private, model, lambda m, b, g: (m(b.derived) ** 2).sum(1)))
    found = (before - weights(model)) * 12
    torch.testing.assert_close(found, autograd_sum(pixels(12), math.pi), rtol=1e-3, atol=1e-3)
