"""DP-SGD: its noise, and what the private batch must not reach."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from stepping import WIDE, autograd_sum, flat, linear, move, nothing, squares, start, weights
from torch import Tensor, nn
from vaults import SIGMAS, Images, Untouchable, pixels, steps, vault

from dpbench.core.specs import Batch
from dpbench.privacy.gradients.engines import ENGINES
from dpbench.privacy.noise import Draws, NoiseSource
from dpbench.privacy.noise_key import NoiseKey

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
    monkeypatch.setattr(Draws, "poisson_sample", lambda self, n, rate: [])
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
        private = vault(Images(pixels(40)), mechanism, noise=NoiseSource(key=NoiseKey.from_seed(noise)))
        for _ in start(private, model, noisy, seed=seed):
            pass
        return weights(model)

    first = run(noise=1, seed=2)
    torch.manual_seed(99)
    assert torch.equal(first, run(noise=1, seed=2))
    assert not torch.isclose(first, run(noise=1, seed=3)).all()
    assert not torch.isclose(first, run(noise=2, seed=2)).any()


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
