"""Which losses are free of order, and where records stand in a step."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import binom
from stepping import flat
from torch import Tensor, nn
from vaults import SIGMAS

from dpbench.core.specs import Batch, DatasetSpec
from dpbench.privacy.checks.loss_checks import LossChecks
from dpbench.privacy.checks.probes import Probes
from dpbench.privacy.noise import Draws
from dpbench.privacy.records import padded
from dpbench.privacy.slots import EMPTY, OVERFLOW, in_whole, most_sampled, placed, records_per_call

SPEC = DatasetSpec("test", 1, 4, 1000, 10, ("a", "b", "c"), False)


class Conditional(nn.Module):
    """Takes a label besides the image, and starts with embeddings that are all alike."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.layer, self.drop = nn.Embedding(4, 16), nn.Linear(16, 3), nn.Dropout(0.3)
        nn.init.zeros_(self.embedding.weight)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        return self.layer(self.drop(x + self.embedding(labels)))


def loss_of(x: Tensor, labels: Tensor, model: nn.Module) -> Tensor:
    return model(x, labels).square().sum(1)


def is_free(loss, model: nn.Module | None = None, views: int = 1, records: int = 40, precision: float = 1e-3) -> bool:
    torch.manual_seed(0)
    checks = LossChecks(
        model or Conditional(), loss, Probes.of(SPEC), views, torch.Generator().manual_seed(3), "the loss", precision
    )
    checks.look()
    checks.check(records)
    return checks.order_free


def plain(model, batch, generator):
    return loss_of(flat(batch), batch.labels, model)


def noised(model, batch, generator):
    sigma = torch.randn(len(batch), generator=generator).exp()
    noise = torch.empty(len(batch), 16).normal_(generator=generator)
    hidden = torch.rand(len(batch), generator=generator) < 0.1
    labels = torch.where(hidden, 3, batch.labels)
    return loss_of(flat(batch) + sigma[:, None] * noise, labels, model) / sigma


def flipped(model, batch, generator):
    x = batch.images.float() / 255
    coin = torch.bernoulli(torch.full((len(batch), 1, 1, 1), 0.5), generator=generator).bool()
    return loss_of(torch.where(coin, x.flip(-1), x).flatten(1), batch.labels, model)


def two_draws_a_row(model, batch, generator):
    draws = torch.rand(2 * len(batch), generator=generator).reshape(len(batch), 2)
    return plain(model, batch, generator) * draws.prod(1)


def attended(model, batch, generator):
    x = flat(batch).reshape(-1, 2, 4, 2)
    return plain(model, batch, generator) + F.scaled_dot_product_attention(x, x, x, dropout_p=0.3).flatten(1).sum(1)


def drawn_tokens(model, batch, generator):
    places = torch.multinomial(flat(batch) + 0.1, 2, generator=generator)
    return plain(model, batch, generator) * flat(batch).gather(1, places).sum(1)


def in_bf16(model, batch, generator):
    with torch.autocast("cpu", torch.bfloat16):
        return noised(model, batch, generator).float()


@pytest.mark.parametrize(
    "loss", [plain, noised, flipped, two_draws_a_row, attended, drawn_tokens, in_bf16], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("views", [1, 3])
def test_losses_whose_rows_have_draws_of_their_own_are_free_of_order(loss, views):
    assert is_free(loss, views=views, precision=2e-2 if loss is in_bf16 else 1e-3)


def null_first(model, batch, generator):
    labels = torch.where(torch.arange(len(batch)) < len(batch) // 10, 3, batch.labels)
    return loss_of(flat(batch), labels, model)


def weighted(model, batch, generator):
    return plain(model, batch, generator) * torch.linspace(1, 0.9, len(batch))


def low_discrepancy(model, batch, generator):
    t = (torch.rand(1, generator=generator) + torch.arange(len(batch)) / len(batch)) % 1
    return loss_of(flat(batch) * t[:, None], batch.labels, model)


def stratified(model, batch, generator):
    """Rows in random strata: exchangeable, but records that share a batch never share a stratum."""
    t = (torch.rand(len(batch), generator=generator) + torch.randperm(len(batch), generator=generator)) / len(batch)
    return loss_of(flat(batch) * t[:, None], batch.labels, model)


def ranked(model, batch, generator):
    t = torch.rand(len(batch), generator=generator).argsort() / len(batch)
    return loss_of(flat(batch) * t[:, None], batch.labels, model)


def shared(model, batch, generator):
    return loss_of(flat(batch) * torch.rand(1, generator=generator), batch.labels, model)


def antithetic(model, batch, generator):
    half = torch.randn(-(-len(batch) // 2), 16, generator=generator)
    return loss_of(flat(batch) + torch.cat([half, -half])[: len(batch)], batch.labels, model)


def centred_draws(model, batch, generator):
    noise = torch.randn(len(batch), 16, generator=generator)
    return loss_of(flat(batch) + noise - noise.mean(0), batch.labels, model)


@pytest.mark.parametrize(
    "loss",
    [null_first, weighted, low_discrepancy, stratified, ranked, shared, antithetic, centred_draws],
    ids=lambda f: f.__name__,
)
def test_losses_that_depend_on_places_or_on_others_draws_are_not(loss):
    assert not is_free(loss)


def test_a_dependence_that_the_first_weights_hide_is_found_at_moved_weights():
    model = Conditional()
    assert torch.equal(model.embedding.weight[0], model.embedding.weight[3])  # null labels change nothing yet
    assert not is_free(null_first, model)
    assert not model.embedding.weight.any()


# Slots


@pytest.mark.parametrize(("n", "rate"), [(1000, 0.5), (60_000, 4096 / 60_000), (100, 0.01), (50_000, 1e-4), (7, 1)])
@pytest.mark.parametrize(("steps", "delta"), [(250, 1e-6), (10_000, 6e-9)])
def test_more_records_than_slots_are_as_improbable_as_stated(n, rate, steps, delta):
    most = most_sampled(n, rate, steps, delta)
    assert steps * binom.sf(most, n, rate) <= OVERFLOW * delta
    assert most <= min(n, n * rate + 10 * math.sqrt(n * rate) + 40)


def draws(seed: int) -> Draws:
    """The randomness of a release."""
    return Draws(seed, torch.device("cpu"))


def test_a_sample_stands_in_uniformly_random_slots():
    slots, repeats = 7, 7000
    seen = Counter(tuple(placed([5, 6, 7], slots, draws(seed))) for seed in range(repeats))
    assert len(seen) == 7 * 6 * 5
    for rows, times in seen.items():
        assert sorted(r for r in rows if r != EMPTY) == [5, 6, 7]
        assert len(rows) == slots
        expected = repeats / 210
        assert abs(times - expected) < SIGMAS * math.sqrt(expected)
    assert placed([], 4, draws(0)) == [EMPTY] * 4


def test_slots_depend_on_all_bits_of_the_secret():
    """torch's generator on the CPU, for example, uses the lowest 32 bits of a seed."""
    rows = [tuple(placed(range(40), 80, draws(5 + 2**bit))) for bit in (3, 31, 32, 40, 62, 63, 200, 255)]
    assert len(set(rows)) == len(rows)


def test_slots_come_in_whole_micro_batches():
    assert [in_whole(records, 8) for records in (0, 1, 8, 9)] == [0, 8, 8, 16]


@pytest.mark.parametrize("fit", [1, 32, 100, 4096])
@pytest.mark.parametrize(("n", "rate"), [(45_000, 96 / 45_000), (45_000, 4096 / 45_000), (300, 0.5), (40, 1.0)])
def test_calls_of_a_loss_hold_nearly_all_samples_with_little_padding(n, rate, fit):
    size = records_per_call(n, rate, fit)
    law = binom(n, rate)
    calls = math.ceil(law.ppf(0.97) / size)
    assert 1 <= size <= fit
    assert law.cdf(calls * size) > 0.97
    assert calls * size - law.mean() <= 2.5 * law.std() + calls  # the padding of nearly all samples
    assert calls <= math.ceil((law.mean() + 2.5 * law.std()) / fit)


def test_calls_have_a_row_where_there_are_no_records():
    assert records_per_call(0, 0.1, 32) == 1


def test_a_further_record_leaves_the_law_of_the_others_slots():
    """The coupling of `slots`: with and without record 9, the others stand in the same pairs of slots as often."""
    repeats, slots = 8000, 4
    without = Counter(tuple(placed([1, 2], slots, draws(s)).index(r) for r in (1, 2)) for s in range(repeats))
    seeds = range(repeats, 2 * repeats)
    within = Counter(tuple(placed([1, 2, 9], slots, draws(s)).index(r) for r in (1, 2)) for s in seeds)
    assert len(without) == len(within) == 12
    for pair, times in without.items():
        assert abs(times - within[pair]) < SIGMAS * math.sqrt(2 * repeats / 12)


def test_padding_stands_where_no_record_does_and_batches_of_padding_are_left_out():
    class Numbers:
        def __len__(self) -> int:
            return 10

        def batch(self, indices):
            return Batch(None, torch.tensor(indices) * 10, torch.tensor(indices)[:, None])

    batches = list(padded(Numbers(), [3, EMPTY, 5, EMPTY, EMPTY, EMPTY, EMPTY, 7, 8], 3, "cpu"))
    assert [b.derived.flatten().tolist() for b, _ in batches] == [[3, 0, 5], [0, 7, 8]]
    assert [b.labels.tolist() for b, _ in batches] == [[30, 0, 50], [0, 70, 80]]
    assert [real.tolist() for _, real in batches] == [[True, False, True], [False, True, True]]
