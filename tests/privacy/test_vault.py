from __future__ import annotations

import copy
import json

import pytest
import torch
from torch import Tensor, nn
from vaults import SIGMAS, Images, Untouchable, a_sum, pixels, planned, steps, vault

from dpbench.core.errors import DpbenchError, PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.clipping import clipped_sum
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.noise import Draws, NoiseSource
from dpbench.privacy.noise_key import NoiseKey
from dpbench.privacy.vault import Vault


def flat(batch: Batch) -> Tensor:
    return batch.images.float().flatten(1) / 255


def unit(batch: Batch) -> Tensor:
    return flat(batch) / flat(batch).norm(dim=1, keepdim=True)


def ones(n: int) -> Tensor:
    return torch.ones(n, dtype=torch.bool)


# noisy_sum


@pytest.mark.parametrize("chunk", [3, 20, 500])
def test_without_noise_it_is_the_clipped_sum_whatever_the_chunk(chunk):
    records = Images(pixels(20))
    expected = sum(clipped_sum(flat(records.batch([i])), ones(1), 1.5) for i in range(20))
    total = vault(records, a_sum(clip=1.5)).noisy_sum("sum", flat, chunk)
    torch.testing.assert_close(total, expected)
    assert total.dtype == torch.float32


def test_neighbouring_datasets_differ_by_at_most_the_clip():
    images = pixels(12)
    whole = vault(Images(images), a_sum(clip=0.7)).noisy_sum("sum", flat)
    for i in range(12):
        rest = vault(Images(torch.cat([images[:i], images[i + 1 :]])), a_sum(clip=0.7)).noisy_sum("sum", flat)
        assert (whole - rest).norm() <= 0.7 * (1 + 1e-5)
        assert (whole - rest).norm() >= 0.7 * (1 - 1e-5)  # all of these are clipped: the bound is met


@pytest.mark.parametrize("n", [1, 2, 3])
def test_noise_has_multiplier_times_clip_as_deviation_and_the_clipped_sum_as_mean(n):
    multiplier, clip, d = 3.0, 0.5, 100_000

    def contribution(batch: Batch) -> Tensor:
        return torch.ones(len(batch), d)

    private = vault(Images(pixels(n)), a_sum(noise_multiplier=multiplier, clip=clip))
    release = private.noisy_sum("sum", contribution, chunk=4)
    deviation = multiplier * clip
    noise = release - n * clip / d**0.5
    assert abs(noise.mean()) < SIGMAS * deviation / d**0.5
    assert abs(noise.var() / deviation**2 - 1) < SIGMAS * (2 / d) ** 0.5


def test_noise_does_not_depend_on_the_records_nor_on_how_many_take_part():
    d, deviations = 50_000, []
    for records, rate in [(Images(pixels(1)), 1.0), (Images(pixels(200)), 1.0), (Images(pixels(200)), 1e-9)]:
        private = vault(records, a_sum(noise_multiplier=2.0, rate=rate))
        deviations.append(private.noisy_sum("sum", lambda b: torch.zeros(len(b), d), chunk=50).std())
    assert all(abs(s / 2 - 1) < SIGMAS * (0.5 / d) ** 0.5 for s in deviations)


def test_releases_of_one_mechanism_have_noise_of_their_own():
    private = vault(Images(pixels(5)), a_sum(noise_multiplier=1.0, count=2))
    first, second = (private.noisy_sum("sum", flat) for _ in range(2))
    assert not torch.isclose(first, second).all()


def test_each_release_draws_a_poisson_sample_of_its_own():
    n, rate, count = 100, 0.25, 120
    records = Images(pixels(n))
    private = vault(records, a_sum(rate=rate, count=count, clip=1.0))
    sums = [private.noisy_sum("sum", lambda b: torch.ones(len(b), 1)).item() for _ in range(count)]
    deviation = (n * rate * (1 - rate)) ** 0.5
    assert abs(sum(sums) / count - n * rate) < SIGMAS * deviation / count**0.5
    assert len(set(sums)) > 5
    assert sorted({i for read in records.reads for i in read}) == list(range(n))


def test_rate_one_reads_every_record_once():
    records = Images(pixels(20))
    vault(records, a_sum()).noisy_sum("sum", flat, chunk=7)
    assert [i for read in records.reads for i in read] == list(range(20))


def test_experiment_seeds_do_not_reach_the_noise():
    releases = []
    for _ in range(2):
        torch.manual_seed(0)
        private = vault(Images(pixels(5)), a_sum(noise_multiplier=1.0))
        torch.manual_seed(0)
        releases.append(private.noisy_sum("sum", flat))
    assert not torch.equal(*releases)


def test_reproducible_noise_repeats():
    def release(seed: int) -> Tensor:
        mechanism = a_sum(noise_multiplier=1.0, rate=0.5)
        return vault(Images(pixels(9)), mechanism, noise=NoiseSource(key=NoiseKey.from_seed(seed))).noisy_sum(
            "sum", flat
        )

    assert torch.equal(release(1), release(1))
    assert not torch.equal(release(1), release(2))


def test_the_global_generator_says_nothing_about_how_many_records_took_part():
    states = []
    for n in (5, 500):
        torch.manual_seed(0)
        vault(Images(pixels(n)), a_sum()).noisy_sum("sum", lambda b: nn.functional.dropout(flat(b)), chunk=5)
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


def test_the_receipt_is_on_disk_before_the_release_is_handed_out(tmp_path, monkeypatch):
    path, seen = tmp_path / "ledger.json", []
    private = vault(Images(pixels(5)), a_sum(noise_multiplier=1.0), path=path)
    gaussian = Draws.gaussian
    monkeypatch.setattr(Draws, "gaussian", lambda *a: seen.append(path.exists()) or gaussian(*a))
    private.noisy_sum("sum", flat)
    assert seen == [False]  # noised first, then written down,
    assert json.loads(path.read_text())["mechanisms"][0]["releases_spent"] == 1  # and only then here
    private.ledger.check_complete()


def test_a_release_that_cannot_be_written_down_is_not_handed_out(tmp_path):
    (tmp_path / "file").write_text("in the way")
    private = vault(Images(pixels(5)), a_sum(), path=tmp_path / "file" / "ledger.json")
    with pytest.raises(DpbenchError, match="cannot write"):
        private.noisy_sum("sum", flat)
    with pytest.raises(PrivacyError, match="closed: 'sum' failed"):  # and cannot be had for free at a second try
        private.noisy_sum("sum", flat)


def test_nothing_is_released_when_noise_cannot_be_drawn(monkeypatch):
    private = vault(Images(pixels(5)), a_sum(noise_multiplier=1.0))

    def fails(*_: object) -> Tensor:
        raise RuntimeError("no noise today")

    monkeypatch.setattr(Draws, "gaussian", fails)
    with pytest.raises(RuntimeError, match="no noise today"):
        private.noisy_sum("sum", flat)


# Refusals, all before a record is read


@pytest.mark.parametrize(
    ("name", "contribution", "match"),
    [
        ("other", flat, "no mechanism 'other'"),
        ("steps", flat, "planned as DPSGD, not as NoisySum"),
        ("sum", lambda b: flat(b) - flat(b).mean(0), "mixes records"),
        ("sum", lambda b: flat(b).sum(0), "one value per record"),
        ("sum", nn.BatchNorm1d(16), "older than the call"),
        ("sum", lambda b: flat(b) + torch.randn(16, generator=GENERATOR), "different values"),
        ("sampled", lambda b: flat(b) * torch.arange(len(b))[:, None], "place in the batch"),
    ],
    ids=["undeclared", "wrong kind", "batch mean", "summed", "batch norm", "random", "by place"],
)
def test_noisy_sum_refuses_before_a_record_is_read(name, contribution, match):
    private = vault(Untouchable(pixels(20)), a_sum(), a_sum(name="sampled", rate=0.5), steps(20))
    if isinstance(contribution, nn.Module):
        layer, contribution = contribution, lambda b: layer(flat(b))
    with pytest.raises(PrivacyError, match=match):
        private.noisy_sum(name, contribution)
    assert set(private.ledger.spent.values()) == {0}


GENERATOR = torch.Generator()


def test_noisy_sum_refuses_one_release_too_many_before_a_record_is_read():
    records = Images(pixels(20))
    private = vault(records, a_sum(count=2))
    private.noisy_sum("sum", flat)
    private.noisy_sum("sum", flat)
    records.reads.clear()
    with pytest.raises(PrivacyError, match="all 2 planned releases"):
        private.noisy_sum("sum", flat)
    assert records.reads == []


def test_a_contribution_whose_shape_changes_between_calls_releases_nothing():
    records = Images(pixels(20))
    private = vault(records, a_sum())

    def contribution(batch: Batch) -> Tensor:
        return flat(batch)[:, : 16 - (len(records.reads) > 1)]

    with pytest.raises(PrivacyError, match="changes its shape"):
        private.noisy_sum("sum", contribution, chunk=10)
    assert private.ledger.spent == {"sum": 0}


def test_the_number_of_records_must_be_the_declared_one():
    records = Images(pixels(20))
    records.images = records.images[:19]
    with pytest.raises(PrivacyError, match="declares 20 records but holds 19"):
        vault(records, a_sum())


def test_a_vault_cannot_be_copied():
    with pytest.raises(PrivacyError, match="cannot be copied"):
        copy.deepcopy(vault(Images(pixels(5)), a_sum()))


# derive


def test_derived_values_are_what_later_queries_see_with_labels_in_order():
    records = Images(pixels(10))
    derived = vault(records, a_sum(clip=1e9)).derive(lambda b: b.images.flatten(1)[:, :3].long(), chunk=4)

    def weighted(batch: Batch) -> Tensor:
        assert batch.images is None
        assert batch.derived.dtype == torch.int64
        return batch.derived * (1 + batch.labels[:, None])

    total = derived.noisy_sum("sum", weighted, chunk=4)
    values = records.images.flatten(1)[:, :3].long()
    assert torch.equal(total, (values * (1 + records.labels[:, None])).sum(0).float())
    batch = derived.unsafe_records("to compare them").batch(range(10))
    assert torch.equal(batch.derived, values)
    assert torch.equal(batch.labels, records.labels)


def test_derive_reads_each_record_once_and_releases_nothing():
    records = Images(pixels(10))
    private = vault(records, a_sum())
    derived = private.derive(flat, chunk=4)
    assert [i for read in records.reads for i in read] == list(range(10))
    assert private.ledger.spent == {"sum": 0}
    records.reads.clear()
    derived.noisy_sum("sum", lambda b: b.derived)
    assert records.reads == []


def test_a_derived_vault_holds_as_many_records_as_its_origin():
    derived = vault(Images(pixels(10)), a_sum(clip=9.0)).derive(flat, chunk=4)
    assert derived.noisy_sum("sum", lambda b: torch.ones(len(b)), chunk=4) == 10


def test_a_derived_vault_spends_the_same_plan():
    private = vault(Images(pixels(10)), a_sum())
    private.derive(flat).noisy_sum("sum", lambda b: b.derived)
    with pytest.raises(PrivacyError, match="spent"):
        private.noisy_sum("sum", flat)


def test_values_can_be_derived_from_derived_values_and_without_labels():
    private = vault(Images(pixels(10), classes=0), a_sum(clip=1e9))
    twice = private.derive(flat).derive(lambda b: 2 * b.derived)
    total = twice.noisy_sum("sum", lambda b: b.derived if b.labels is None else b.derived * float("nan"))
    torch.testing.assert_close(total, 2 * flat(Batch(pixels(10))).sum(0))


def test_derive_refuses_to_mix_records_before_one_is_read():
    private = vault(Untouchable(pixels(10)), a_sum())
    with pytest.raises(PrivacyError, match="derive mixes records"):
        private.derive(lambda b: flat(b) - flat(b).mean(0))
    with pytest.raises(PrivacyError, match="different values"):
        private.derive(lambda b: flat(b) + torch.rand(1, generator=GENERATOR))


def test_the_checks_of_a_derived_vault_see_derived_probes_and_no_record():
    records = Untouchable(pixels(10))
    derived = vault(records, a_sum(), steps(10), lazy=True).derive(flat)
    with pytest.raises(PrivacyError, match="mixes records"):
        derived.noisy_sum("sum", lambda b: b.derived - b.derived.mean(0))


# unsafe_records


def test_raw_records_mark_the_trial_before_they_are_handed_out(tmp_path):
    path = tmp_path / "ledger.json"
    records = Images(pixels(10))
    private = vault(records, a_sum(count=2), path=path)
    raw = private.unsafe_records("to plot them")
    assert raw is records
    assert json.loads(path.read_text())["unverified"] == ["to plot them"]


def test_the_mark_sticks_to_descendants_and_ancestors_and_to_what_follows():
    private = vault(Images(pixels(10)), a_sum(count=2))
    before = private.derive(flat)
    before.unsafe_records("a look at the derived values")
    after = private.derive(flat)
    after.noisy_sum("sum", lambda b: b.derived)
    assert {v.ledger.accounting for v in (private, before, after)} == {"unverified"}


def test_records_are_not_handed_out_when_the_mark_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    private = vault(Images(pixels(5)), a_sum(), path=tmp_path / "file" / "ledger.json")
    with pytest.raises(DpbenchError, match="cannot write"):
        private.unsafe_records("a look")
    assert private.ledger.accounting == "unverified"


def test_a_vault_may_have_an_empty_plan():
    records = Untouchable(pixels(5))
    private = Vault(records, records.spec, Ledger(planned()), NoiseSource())
    with pytest.raises(PrivacyError, match="names none"):
        private.noisy_sum("sum", unit)
    private.ledger.check_complete()


def test_a_query_that_runs_inside_itself_is_refused_because_both_would_have_the_same_noise():
    private = vault(Images(pixels(20)), a_sum(count=100, noise_multiplier=1.0))

    def contribution(batch: Batch) -> Tensor:
        private.noisy_sum("sum", flat)
        return flat(batch)

    with pytest.raises(PrivacyError, match="'sum' was released while it was computed"):
        private.noisy_sum("sum", contribution)
