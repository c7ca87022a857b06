"""The door of sanitised gradients: what it trains on what, what it releases, and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor, nn
from vaults import SIGMAS, Images, Untouchable, pixels, planned, vault

from dpbench.core.errors import ConfigError, PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.accounting.shard_event import ShardEvent
from dpbench.privacy.clipping import clipped_rows
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.mechanisms.sanitised import SanitisedGradients
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.noise_key import NoiseKey
from dpbench.privacy.sanitised_steps import SanitisedSteps, deal
from dpbench.privacy.vault import Vault
from dpbench.privacy.world import World

N, SHARDS, SAMPLES = 12, 4, 3


def gradients(**settings) -> SanitisedGradients:
    default = {"name": "g", "clip": 1.0, "noise_multiplier": 0.0, "shards": SHARDS, "samples": SAMPLES, "steps": 2}
    return SanitisedGradients(**{**default, **settings})


class Score(nn.Module):
    """The inner product with a direction, which is the gradient at every image."""

    def __init__(self) -> None:
        super().__init__()
        self.direction = nn.Parameter(torch.zeros(1, 4, 4))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        return (images * self.direction).sum((1, 2, 3))


class Learner(Score):
    """A discriminator whose direction adds up the means of what it was trained on."""

    def warm_up(self, records: Callable[[int], Batch], draws: torch.Generator) -> None:
        self.learn(records(20))

    def train(self, records: Callable[[int], Batch], images: Tensor, labels: Tensor, draws: torch.Generator) -> None:
        self.learn(records(20))

    def learn(self, batch: Batch) -> None:
        with torch.no_grad():
            self.direction += self.change(batch.images.float().mean(0) / 255 - 0.5)

    def change(self, direction: Tensor) -> Tensor:
        return direction


class Made:
    """A generator of constant images, whose gradient is the sum of what is released."""

    def __init__(self, samples: int = SAMPLES):
        self.image = nn.Parameter(torch.zeros(1, 4, 4))
        self.optimizer = torch.optim.SGD([self.image], lr=1.0)
        self.samples = samples

    def __call__(self) -> tuple[Tensor, Tensor]:
        return self.image.expand(self.samples, 1, 4, 4), torch.zeros(self.samples, dtype=torch.long)


def opened(private: Vault, new: Callable[[], Learner] = Learner, made: Made | None = None) -> SanitisedSteps:
    made = made or Made()
    return private.sanitised_gradients("g", new, made, made.optimizer)


def test_it_is_accounted_for_by_secret_shards():
    assert gradients(noise_multiplier=2.0).events() == [ShardEvent(2.0, 1 / SHARDS, 2)]


def test_noise_is_scaled_to_all_images_of_a_step():
    """Two discriminators' answers to 3 images are at most 2 · clip · √3 apart."""
    assert gradients(clip=0.5, noise_multiplier=2.0).noise_scale_at(1) == pytest.approx(2.0 * 2 * 0.5 * math.sqrt(3))


@pytest.mark.parametrize(
    "settings", [{"shards": 1}, {"samples": 0}, {"steps": 0}, {"clip": 0.0}, {"trained": 0}, {"trained": SHARDS + 1}]
)
def test_impossible_plans_are_refused(settings):
    with pytest.raises(ConfigError):
        gradients(**settings)


def shard_of(position: int) -> int:
    [number] = [k for k, shard in enumerate(deal(range(N), SHARDS)) if position in shard._positions]
    return number


def shards_of(reads: list[list[int]]) -> list[set[int]]:
    return [{shard_of(i) for i in read} for read in reads]


class Counting(Learner):
    """Its scores move a buffer, as spectral normalisation in training mode does."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("asked", torch.zeros(()))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        self.asked += 1
        return super().forward(images, labels) * self.asked


def test_a_discriminator_that_changes_when_it_scores_images_is_refused():
    """Later answers would tell who answered before."""
    with pytest.raises(PrivacyError, match="a discriminator changes when it scores images"):
        opened(vault(Untouchable(pixels(N)), gradients()), Counting)


def test_each_record_is_in_one_shard():
    records = Images(pixels(N))
    next(opened(vault(records, gradients())))
    of_warm_up = [set(read) for read in records.reads[:SHARDS]]
    assert sorted(i for shard in of_warm_up for i in shard) == list(range(N))


def test_shards_are_equal_and_mix_classes_that_take_turns():
    shards = [shard._positions for shard in deal(range(400), 2)]
    assert sorted(shards[0] + shards[1]) == list(range(400))
    for positions in shards:
        assert len(positions) == 200
        assert abs(sum(position % 2 for position in positions) - 100) < SIGMAS * math.sqrt(200 * 0.25)


def test_the_shard_of_a_record_does_not_depend_on_the_number_of_records():
    for fewer, more in zip(deal(range(N - 3), SHARDS), deal(range(N), SHARDS), strict=True):
        assert fewer._positions == [position for position in more._positions if position < N - 3]


@pytest.mark.parametrize("trained", [1, 3, SHARDS])
def test_discriminators_are_trained_in_turn_whoever_answers(trained):
    """Otherwise later answers would show who answered before, and no secret draw would be left to account for."""
    records = Images(pixels(N))
    list(opened(vault(records, gradients(steps=20, trained=trained))))
    assert shards_of(records.reads[SHARDS:]) == [{turn % SHARDS} for turn in range(20 * trained)]


class Seeded(Learner):
    seeds: ClassVar[list[int]] = []

    def warm_up(self, records: Callable[[int], Batch], draws: torch.Generator) -> None:
        self.seeds.append(draws.initial_seed())
        super().warm_up(records, draws)

    def train(self, records: Callable[[int], Batch], images: Tensor, labels: Tensor, draws: torch.Generator) -> None:
        self.seeds.append(draws.initial_seed())
        super().train(records, images, labels, draws)


def test_no_two_trainings_share_their_draws():
    """Neither the warm-up and a training of one discriminator nor two discriminators."""
    steps = opened(vault(Images(pixels(N)), gradients(steps=2 * SHARDS)), Seeded)
    Seeded.seeds.clear()  # of the check on synthetic records
    list(steps)
    assert len({*Seeded.seeds}) == len(Seeded.seeds) == SHARDS + 2 * SHARDS


def test_the_state_of_a_discriminator_does_not_depend_on_the_draws(monkeypatch):
    def after(drawn: int) -> list[Tensor]:
        monkeypatch.setattr("dpbench.privacy.noise.Draws.below", lambda self, n: drawn)
        private = vault(Images(pixels(N)), gradients(steps=20, clip=1e-9), noise=NoiseSource(key=NoiseKey.from_seed(5)))
        steps = opened(private)
        list(steps)
        return [discriminator.direction for discriminator in steps._discriminators]

    assert all(torch.equal(a, b) for a, b in zip(after(0), after(3), strict=True))


def test_the_answering_discriminator_is_drawn_uniformly():
    """The records of shard k are lit in pixel k alone."""
    images, count, made = torch.zeros(N, 1, 4, 4, dtype=torch.uint8), 200, Made()
    for i in range(N):
        images[i, 0, 0, shard_of(i)] = 255
    answers = []
    for _ in opened(vault(Images(images), gradients(steps=count)), made=made):
        answers.append(int(made.image[0, 0].argmax()))
        made.image.data.zero_()
    counts = np.bincount(answers, minlength=SHARDS)
    assert len(counts) == SHARDS
    assert (np.abs(counts - count / SHARDS) < SIGMAS * math.sqrt(count * 0.25 * 0.75)).all()


def test_the_generator_moves_towards_higher_scores_of_the_drawn_discriminator():
    made, records = Made(), Images(torch.full((N, 1, 4, 4), 255, dtype=torch.uint8))
    next(opened(vault(records, gradients()), made=made))
    assert torch.allclose(made.image, torch.full((1, 4, 4), 0.25), atol=1e-4)  # clipped to norm 1: 16 · (1/4)² = 1


@pytest.mark.parametrize("factor", [1e6, 1e25, math.nan, math.inf])
def test_whatever_a_discriminator_says_is_clipped(factor):
    made = Made()

    class Extreme(Learner):
        def change(self, direction: Tensor) -> Tensor:
            return direction * factor

    next(opened(vault(Images(pixels(N)), gradients(clip=0.5)), Extreme, made))
    assert made.image.isfinite().all()
    assert made.image.norm() <= 0.5 * (1 + 1e-5)


def test_rows_are_clipped_one_by_one():
    values = torch.tensor([[3.0, 4.0], [0.3, 0.4], [math.nan, 1.0], [math.inf, 0.0]])
    expected = torch.tensor([[0.6, 0.8], [0.3, 0.4], [0.0, 0.0], [0.0, 0.0]])
    assert torch.allclose(clipped_rows(values, 1.0), expected, atol=1e-4)


def test_noise_has_the_planned_deviation():
    """Noise of 2 · clip · √samples · multiplier on every image; their sum, divided by samples, moves the generator."""
    count, moves = 60, []
    made = Made()
    for _ in opened(vault(Images(pixels(N)), gradients(noise_multiplier=3.0, steps=count)), made=made):
        moves.append(made.image.detach().clone())
    noise = torch.diff(torch.stack(moves), dim=0).flatten() / (3.0 * 2.0)
    error = SIGMAS * math.sqrt(2 / len(noise))
    assert noise.square().mean().item() == pytest.approx(1 + 0.25**2 / 36, abs=error)
    assert abs(noise.mean().item()) < SIGMAS / math.sqrt(len(noise)) + 0.25 / 6
    shares = np.linspace(0.1, 0.9, 9)
    assert norm.cdf(np.quantile(noise.numpy(), shares)) == pytest.approx(shares, abs=0.1)


def test_nothing_is_read_outside_the_plan():
    private = vault(Untouchable(pixels(N)), gradients(name="other"))
    with pytest.raises(PrivacyError, match="no mechanism 'g'"):
        opened(private)


def test_steps_end_with_the_plan():
    private = vault(Images(pixels(N)), gradients(steps=2))
    assert [receipt.number for receipt in opened(private)] == [1, 2]
    private.ledger.check_complete()
    with pytest.raises(PrivacyError, match="all 2 planned"):
        opened(private)


def test_receipts_are_stored_before_the_generator_moves(tmp_path: Path):
    made, path = Made(), tmp_path / "ledger.json"
    private = vault(Images(pixels(N)), gradients(), path=path)
    made.optimizer.register_step_pre_hook(lambda *_: seen.append('"releases_spent": 1' in path.read_text()))
    seen: list[bool] = []
    next(opened(private, made=made))
    assert seen == [True]


def test_another_number_of_images_is_refused():
    with pytest.raises(PrivacyError, match="planned for 3 images"):
        next(opened(vault(Images(pixels(N)), gradients()), made=Made(samples=4)))


def test_more_shards_than_records_are_refused():
    with pytest.raises(PrivacyError, match="more shards than"):
        opened(vault(Untouchable(pixels(3)), gradients()))


def test_several_processes_are_refused():
    with pytest.raises(PrivacyError, match="without torchrun"):
        opened(vault(Untouchable(pixels(N)), gradients(), world=World(0, 2)))


class Keeping(Learner):
    kept: ClassVar[list[Tensor]] = []

    def learn(self, batch: Batch) -> None:
        super().learn(batch)
        self.kept.append(self.direction)


class Writing(Learner):
    seen = torch.zeros(1, 4, 4)

    def learn(self, batch: Batch) -> None:
        self.seen += batch.images.float().mean(0)


class Printing(Learner):
    def learn(self, batch: Batch) -> None:
        print(batch.images.float().mean().item())


@pytest.mark.parametrize(
    ("discriminator", "message"), [(Keeping, "keeps a tensor"), (Writing, "writes into"), (Printing, "reads a value")]
)
def test_training_that_lets_something_out_is_refused_before_a_record_is_read(discriminator, message):
    with pytest.raises(PrivacyError, match=message):
        opened(vault(Untouchable(pixels(N)), gradients()), discriminator)


class Failing(Learner):
    trained: ClassVar[list[str]] = []

    def train(self, records: Callable[[int], Batch], images: Tensor, labels: Tensor, draws: torch.Generator) -> None:
        self.trained.append("train")
        if len(self.trained) > 1:  # the first one is on synthetic records
            raise RuntimeError


def test_a_failure_on_records_closes_the_vault():
    private = vault(Images(pixels(N)), gradients())
    steps = opened(private, Failing)
    with pytest.raises(RuntimeError):
        next(steps)
    with pytest.raises(PrivacyError, match="closed"):
        next(steps)


def after(folder: Path, stop: int | None = None, state: dict | None = None) -> tuple[Tensor, dict]:
    """The generator's image after all steps, or some, of an attempt with the same key."""
    key = NoiseKey.read(folder / "key", "code") or NoiseKey.from_seed(3)
    key.store(folder / "key", "code")
    records, made = Images(pixels(N)), Made()
    ledger = Ledger(planned(gradients(noise_multiplier=1.0, steps=6)))
    private = Vault(records, records.spec, ledger, NoiseSource(key=key))
    steps = opened(private, made=made)
    if state is not None:
        made.image.data.copy_(state["image"])
        assert steps.load_state_dict(state["steps"]) == 3
    for receipt in steps:
        if receipt.number == stop:
            break
    return made.image.detach(), {"image": made.image.detach().clone(), "steps": steps.state_dict()}


class Initialised(Learner):
    def __init__(self) -> None:
        super().__init__()
        torch.rand(3)


def test_restoring_discriminators_draws_nothing_from_the_global_generator():
    steps = opened(vault(Images(pixels(N)), gradients()), Initialised)
    next(steps)
    state, before = steps.state_dict(), torch.get_rng_state()
    steps.load_state_dict(state)
    assert len(steps._discriminators) == SHARDS
    assert torch.equal(torch.get_rng_state(), before)


def test_a_run_that_continues_takes_the_same_steps(tmp_path: Path):
    whole, _ = after(tmp_path)
    _, stored = after(tmp_path, stop=3)
    continued, _ = after(tmp_path, state=stored)
    assert torch.equal(whole, continued)
