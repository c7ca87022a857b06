"""The door of nearest means: what is averaged, how far one record moves it, what it costs, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor
from vaults import SIGMAS, Images, Untouchable, a_sum, pixels, vault

from dpbench.core.checkpoints import Checkpoints
from dpbench.core.errors import ConfigError, PrivacyError
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.privacy.accounting.composition import epsilon_pld, epsilon_rdp
from dpbench.privacy.accounting.events import GaussianEvent
from dpbench.privacy.clipping import clipped_rows
from dpbench.privacy.mechanisms.mechanism import Segment
from dpbench.privacy.mechanisms.nearest_mean import NearestMean
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.noise_key import NoiseKey
from dpbench.privacy.plan import Plan
from dpbench.privacy.rehearsal import Rehearsal
from dpbench.privacy.retrieval import UNITS, nearest
from dpbench.privacy.stand_in import StandIn
from dpbench.privacy.vault import Vault
from dpbench.privacy.world import World

N, SIZE, K = 12, 3, 2


def mean(**settings) -> NearestMean:
    default = {"name": "near", "clip": 1.0, "noise_multiplier": 0.0, "neighbours": K}
    return NearestMean(**{**default, **settings})


def coded(vectors: Tensor) -> Images:
    """Records of one class each, whose image says which of the vectors is their embedding."""
    records = Images(pixels(len(vectors)), classes=0)
    records.images[:, 0, 0, 0] = torch.arange(len(vectors), dtype=torch.uint8)
    return records


def asked(vectors: Tensor, queries: Tensor, mechanism: NearestMean, classes: Tensor | None = None, **options) -> Tensor:
    """The releases of a vault over records with these embeddings: [releases, classes, d]."""
    records = coded(vectors)
    if classes is not None:
        records = Images(records.images, classes=int(classes.max()) + 1)
        records.labels = classes
    return embedded(vault(records, mechanism, **options), vectors).nearest_means("near", queries)


def embedded(private: Vault, vectors: Tensor) -> Vault:
    table = torch.cat([vectors, torch.zeros(256 - len(vectors), vectors.shape[1])])
    return private.derive(lambda batch: table[batch.images[:, 0, 0, 0].long()])


def vectors(n: int = N, size: int = SIZE, seed: int = 0) -> Tensor:
    """Random vectors of different norms below 1."""
    found = torch.randn(n, size, generator=torch.Generator().manual_seed(seed))
    return found / (1.01 * found.norm(dim=1).max())


def of_zero(releases: int = 1, classes: int = 1, size: int = SIZE) -> Tensor:
    return torch.zeros(releases, classes, size)


def test_it_is_the_mean_of_the_k_nearest():
    points, queries = vectors(), vectors(4, seed=1)[:, None]
    found = asked(points, queries, mean(count=4))
    for query, answer in zip(queries[:, 0], found[:, 0], strict=True):
        order = (points - query).norm(dim=1).argsort()[:K]
        assert torch.allclose(answer, points[order].sum(0) / K, atol=1e-6)


def test_each_class_is_answered_by_its_own_records():
    points, classes = vectors(), torch.arange(N) % 3
    found = asked(points, of_zero(classes=3), mean(), classes)
    for label in range(3):
        own = points[classes == label]
        assert torch.allclose(found[0, label], own[own.norm(dim=1).argsort()[:K]].sum(0) / K, atol=1e-6)


def test_the_divisor_is_k_however_many_records_are_found():
    """Divided by the number found, a mean of one would move by its whole norm."""
    points = torch.tensor([[0.6, 0.0, 0.0]])
    assert torch.allclose(asked(points, of_zero(), mean(neighbours=4))[0, 0], torch.tensor([0.15, 0.0, 0.0]))
    assert asked(points, of_zero(classes=2), mean(), torch.tensor([1]))[0, 0].tolist() == [0, 0, 0]


def moves(points: Tensor, query: Tensor, k: int, classes: Tensor) -> list[Tensor]:
    """How the sums of all classes change when each record in turn is removed: [classes, d]."""
    groups = int(classes.max()) + 1
    queries, mechanism = query.expand(1, groups, -1).clone(), mean(neighbours=k)
    whole, kept = asked(points, queries, mechanism, classes), torch.ones(len(points), dtype=torch.bool)
    changes = []
    for out in range(len(points)):
        kept[out] = False
        if classes[kept].max() == groups - 1:
            changes.append(k * (whole - asked(points[kept], queries, mechanism, classes[kept]))[0])
        kept[out] = True
    return changes


def extremes() -> Tensor:
    """Embeddings that a clip has to deal with: opposite, equal, huge, not finite."""
    one = torch.eye(SIZE)[0]
    return torch.stack([one, -one, one, one, -one * 1e6, one * 1e25, one * math.nan, one * math.inf, -one, 0.1 * one])


@pytest.mark.parametrize("k", [1, 2, 5, 20])
@pytest.mark.parametrize(
    "points", [vectors(8), (2 * vectors(8, seed=3)).round(), extremes()], ids=["any", "ties", "extreme"]
)
def test_one_record_moves_the_sums_by_at_most_twice_the_clip_and_one_class_only(points, k):
    changes = moves(points, vectors(1, seed=5), k, torch.arange(len(points)) % 2)
    norms = torch.stack(changes).norm(dim=2)
    assert norms.max() <= mean().sensitivity * (1 + 1e-5)
    assert ((norms > 1e-6).sum(1) <= 1).all()


def test_twice_the_clip_is_reached():
    """The record that leaves is replaced by the opposite one, so a sensitivity of one clip would be wrong."""
    points = torch.tensor([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])
    changes = moves(points, torch.tensor([[0.0, 0.1, 0.0]]), 1, torch.zeros(2, dtype=torch.long))
    assert max(float(change.norm()) for change in changes) == pytest.approx(mean().sensitivity, rel=1e-4)


def test_no_other_record_changes_the_order():
    """Distances that differ by rounding alone could be ordered differently in another sample."""
    points = (UNITS * (0.5 + 1e-7 * vectors(64, 200))).round().long()
    order = nearest(points, torch.zeros(200, dtype=torch.long), 64)
    for seed in range(5):
        kept = torch.randperm(64, generator=torch.Generator().manual_seed(seed))[:40].sort().values
        assert torch.equal(kept[nearest(points[kept], torch.zeros(200, dtype=torch.long), 40)],
                           order[torch.isin(order, kept)])  # fmt: skip


def test_equal_distances_go_by_position():
    assert nearest(torch.ones(50, 2, dtype=torch.long), torch.zeros(2, dtype=torch.long), 7).tolist() == list(range(7))


def test_each_release_draws_a_poisson_sample_of_its_own():
    """With unit vectors of their own and k = n, a release shows which records were in its sample."""
    n, count, rate = 40, 60, 0.3
    shown = asked(torch.eye(n), of_zero(count, size=n), mean(neighbours=n, count=count, rate=rate))[:, 0] * n
    sampled = shown.round()
    assert torch.allclose(shown, sampled, atol=1e-4)
    error = SIGMAS * math.sqrt(rate * (1 - rate))
    assert (abs(sampled.mean(0) - rate) < error / math.sqrt(count)).all()
    assert abs(float(sampled.mean()) - rate) < error / math.sqrt(n * count)
    spread = float(sampled.sum(1).var()) / (n * rate * (1 - rate))
    assert spread == pytest.approx(1, abs=SIGMAS * math.sqrt(2 / (count - 1)))
    assert len({tuple(row) for row in sampled.tolist()}) == count


def test_noise_has_the_planned_deviation():
    count, size, multiplier, clip = 40, 50, 3.0, 0.5
    found = asked(
        vectors(5, size), of_zero(count, size=size), mean(count=count, noise_multiplier=multiplier, clip=clip)
    )
    scaled = found.flatten() * K / (multiplier * 2 * clip)
    error = SIGMAS / math.sqrt(len(scaled))
    assert abs(float(scaled.mean())) < error + 0.5 / (2 * multiplier)
    assert float(scaled.var()) == pytest.approx(1, abs=error * math.sqrt(2) + 0.01)
    shares = np.linspace(0.1, 0.9, 9)
    assert norm.cdf(np.quantile(scaled.numpy(), shares)) == pytest.approx(shares, abs=0.06)
    releases = scaled.reshape(count, size)
    assert abs(np.corrcoef(releases[::2].flatten(), releases[1::2].flatten())[0, 1]) < SIGMAS / math.sqrt(
        len(scaled) / 2
    )


def test_a_schedule_changes_rate_and_noise():
    halves = (Segment(releases=2), Segment(releases=2, rate=0.5, noise=2.0))
    mechanism = mean(count=4, rate=0.5, schedule=halves, noise_multiplier=1.5)
    assert mechanism.events() == [GaussianEvent(1.5, 0.5, 2), GaussianEvent(3.0, 0.25, 2)]
    assert [mechanism.noise_scale_at(number) for number in (1, 4)] == [3.0, 6.0]


def test_the_published_run_costs_what_is_published_by_renyi_accounting():
    """σ = 0.2 on a mean of 18 unit vectors, that is noise of 1.8 times the sensitivity of their sum."""
    mechanism = mean(neighbours=18, rate=0.01, count=1000, noise_multiplier=0.2 * 18 / 2)
    assert mechanism.noise_scale_at(1) / 18 == pytest.approx(0.2)
    assert mechanism.events() == [GaussianEvent(1.8, 0.01, 1000)]
    assert epsilon_rdp(mechanism.events(), 1e-7) == pytest.approx(0.997, abs=5e-4)
    assert epsilon_pld(mechanism.events(), 1e-7) == pytest.approx(0.928, abs=2e-3)


def test_no_other_reading_of_the_published_noise_gives_the_published_cost():
    """Neither a sensitivity of one vector, nor noise on the sum."""
    for multiplier in (0.2 * 18, 0.2 / 2, 0.2):
        events = mean(neighbours=18, rate=0.01, count=1000, noise_multiplier=multiplier).events()
        assert not 0.9 < epsilon_rdp(events, 1e-7) < 1.1


@pytest.mark.parametrize("settings", [{"neighbours": 0}, {"count": 0}, {"rate": 0.0}, {"rate": 1.5}, {"clip": 0.0}])
def test_impossible_plans_are_refused(settings):
    with pytest.raises(ConfigError):
        mean(**settings)


def untouched(*mechanisms, **options) -> Vault:
    return vault(Untouchable(pixels(N), classes=0), *mechanisms, lazy=True, **options)


def image_corner(batch: Batch) -> Tensor:
    return batch.images[:, 0, 0, :SIZE].float() / 255


def test_nothing_is_read_outside_the_plan():
    with pytest.raises(PrivacyError, match="no mechanism 'near'"):
        untouched(a_sum()).derive(image_corner).nearest_means("near", of_zero())
    with pytest.raises(PrivacyError, match="planned as NoisySum"):
        untouched(a_sum()).derive(image_corner).nearest_means("sum", of_zero())


@pytest.mark.parametrize("queries", [of_zero(2), of_zero(1, 2), of_zero(1, 1, 4)], ids=["number", "classes", "size"])
def test_queries_that_do_not_fit_are_refused_before_a_record_is_read(queries):
    with pytest.raises(PrivacyError, match=r"needs queries \[releases, classes, size\] = \[1, 1, 3\]"):
        untouched(mean()).derive(image_corner).nearest_means("near", queries)


def test_records_without_embeddings_are_refused():
    with pytest.raises(PrivacyError, match=r"private\.derive"):
        untouched(mean()).nearest_means("near", of_zero())
    with pytest.raises(PrivacyError, match=r"private\.derive"):
        untouched(mean()).derive(lambda batch: batch.images.float()).nearest_means("near", of_zero())


def test_embeddings_that_mix_records_are_refused():
    with pytest.raises(PrivacyError, match="mixes records"):
        untouched(mean()).derive(lambda batch: image_corner(batch) - image_corner(batch).mean(0))


def test_several_processes_are_refused():
    with pytest.raises(PrivacyError, match="without torchrun"):
        untouched(mean(), world=World(0, 2)).derive(image_corner).nearest_means("near", of_zero())


def test_releases_end_with_the_plan():
    private = embedded(vault(coded(vectors()), mean(count=3)), vectors())
    private.nearest_means("near", of_zero(3))
    private.ledger.check_complete()
    with pytest.raises(PrivacyError, match="all 3 planned"):
        private.nearest_means("near", of_zero(3))


def test_every_receipt_is_stored_before_an_answer_is_returned(tmp_path: Path):
    path = tmp_path / "ledger.json"
    asked(vectors(), of_zero(3), mean(count=3), path=path)
    assert '"releases_spent": 3' in path.read_text(encoding="utf-8")


class Failing(Images):
    def batch(self, indices) -> Batch:
        raise RuntimeError


def test_a_failure_on_records_closes_the_vault():
    private = vault(Failing(pixels(N), classes=0), mean(), lazy=True).derive(image_corner)
    with pytest.raises(RuntimeError):
        private.nearest_means("near", of_zero())
    with pytest.raises(PrivacyError, match="closed"):
        private.nearest_means("near", of_zero())


def attempt(folder: Path, queries: Tensor, records: Images, embed=image_corner) -> Tensor:
    """The releases of an attempt at a run whose key and results are stored."""
    key = NoiseKey.read(folder / "key", "code") or NoiseKey.from_seed(3)
    key.store(folder / "key", "code")
    noisy = mean(count=2, rate=0.5, noise_multiplier=1.0)
    options = {"noise": NoiseSource(key=key), "checkpoints": Checkpoints(folder, code="code"), "lazy": True}
    private = vault(records, noisy, **options).derive(embed)
    answers = private.nearest_means("near", queries)
    private.ledger.check_complete()
    return answers


def test_a_run_that_continues_gets_the_stored_releases_and_reads_nothing(tmp_path: Path):
    first = attempt(tmp_path, of_zero(2), Images(pixels(N), classes=0))
    assert torch.equal(first, attempt(tmp_path, of_zero(2), Untouchable(pixels(N), classes=0)))


def test_an_attempt_whose_result_was_lost_makes_the_same_releases(tmp_path: Path):
    first = attempt(tmp_path, of_zero(2), Images(pixels(N), classes=0))
    for stored in tmp_path.glob("*.pt"):
        stored.unlink()
    assert torch.equal(first, attempt(tmp_path, of_zero(2), Images(pixels(N), classes=0)))


def test_another_embedding_under_the_same_noise_is_refused(tmp_path: Path):
    attempt(tmp_path, of_zero(2), Images(pixels(N), classes=0))
    with pytest.raises(PrivacyError, match="derived records of the queries of 'near' starts from other values"):
        attempt(tmp_path, of_zero(2), Untouchable(pixels(N), classes=0), lambda batch: 0.9 * image_corner(batch))


def test_other_queries_under_the_same_noise_are_refused(tmp_path: Path):
    attempt(tmp_path, of_zero(2), Images(pixels(N), classes=0))
    with pytest.raises(PrivacyError, match="starts from other values"):
        attempt(tmp_path, of_zero(2) + 0.1, Untouchable(pixels(N), classes=0))


def test_a_rehearsal_answers_from_public_images_without_noise():
    sensitive = DatasetSpec("sensitive", 1, 4, 40, 10, None, True)
    records = StandIn(Images(pixels(20), classes=0), sensitive)
    rehearsal = Rehearsal(records, Plan(mean(noise_multiplier=None, neighbours=40)))
    answer = rehearsal.derive(image_corner).nearest_means("near", of_zero())
    everything = torch.cat([image_corner(records.batch([i])) for i in range(40)])
    assert torch.allclose(answer[0, 0], clipped_rows(everything, 1.0).mean(0), atol=1e-5)
