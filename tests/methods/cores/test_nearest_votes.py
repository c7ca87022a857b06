import math

import pytest
import torch

from dpbench.contracts.small_sets import bars
from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Budget, DatasetSpec
from dpbench.methods.cores.votes.nearest_votes import embedded, nearest_votes
from dpbench.models.nearest_points import pixel_points
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.mechanisms.mechanism import NoisySum
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.noise_key import NoiseKey
from dpbench.privacy.plan import Plan
from dpbench.privacy.vault import Vault

VOTES = "votes"


def points(images):
    return pixel_points(images, 8)


def release(spec, candidates, votes=1, noise=0.0, count=1, embed=points, data=None, releases=1):
    plan = calibrate(
        Plan(NoisySum(name=VOTES, clip=1.0, noise_multiplier=noise or None, count=count)),
        Budget(100 if noise else math.inf, 1e-5),
    )
    data = bars(spec, spec.n_train, seed=1) if data is None else data
    records = embedded(Vault(data, spec, Ledger(plan), NoiseSource(key=NoiseKey.from_seed(0))), embed)
    return [nearest_votes(records, VOTES, candidates, votes) for _ in range(releases)][-1]


@pytest.fixture
def candidates(sensitive):
    """Embeddings of 20 images for each of two classes."""
    generator = torch.Generator().manual_seed(3)
    return torch.rand(2, 20, 64, generator=generator)


@pytest.mark.parametrize("votes", [1, 3])
def test_votes_are_those_of_each_record_s_own_class(spec, sensitive, candidates, votes):
    counts = release(spec, candidates, votes)
    batch = sensitive.batch(range(400))
    expected = torch.zeros(2, 20)
    for image, label in zip(points(batch.images), batch.labels, strict=True):
        nearest = (candidates[label] - image).square().sum(1).topk(votes, largest=False).indices
        expected[label, nearest] += votes**-0.5
    assert torch.allclose(counts, expected, atol=1e-4)


@pytest.mark.parametrize("votes", [1, 4])
def test_one_record_moves_the_votes_by_a_vector_of_norm_one(candidates, votes):
    spec = DatasetSpec("bars", 1, 16, 1, 1, ("horizontal", "vertical"), True)
    counts = release(spec, candidates, votes, data=bars(spec, 1, seed=4))
    assert counts.norm().item() == pytest.approx(1, abs=1e-5)
    assert (counts > 0).sum() == votes
    assert counts[1].sum() == 0


def undefined(images):
    embedded = points(images)
    return torch.cat([embedded[:, :-2], 1e30 * embedded[:, -2:-1], embedded[:, -1:] / 0], 1)


def test_records_with_huge_or_undefined_embeddings_count_no_more_than_others(spec, candidates):
    with pytest.warns(UserWarning, match="not finite"):
        counts = release(spec, candidates, embed=undefined)
    assert counts.isfinite().all()
    assert counts.sum().item() <= 400 + 1e-3


@pytest.mark.parametrize("classes", [("horizontal", "vertical"), None])
@pytest.mark.parametrize("votes", [4, 9])
def test_an_undefined_record_votes_for_different_candidates(candidates, votes, classes):
    spec = DatasetSpec("bars", 1, 16, 1, 1, classes, True)
    data = bars(spec, 1, seed=4)
    with pytest.warns(UserWarning, match="not finite"):
        counts = release(spec, candidates[: len(classes or "1")], votes, embed=undefined, data=data)
    assert counts.norm().item() == pytest.approx(1, abs=1e-5)
    assert (counts > 0).sum() == votes


def test_data_without_classes_have_one_row(candidates):
    spec = DatasetSpec("plain", 1, 16, 400, 0, None, True)
    counts = release(spec, candidates[:1])
    assert counts.shape == (1, 20)
    assert counts.sum().item() == pytest.approx(400)


def test_noise_is_that_of_the_plan(spec):
    generator = torch.Generator().manual_seed(3)
    candidates = torch.rand(2, 2000, 64, generator=generator)
    exact, noisy = (release(spec, candidates, noise=noise) for noise in (0.0, 7.0))
    difference = noisy - exact
    assert difference.std().item() == pytest.approx(7.0, rel=0.05)
    assert abs(difference.mean().item()) < 4 * 7.0 / math.sqrt(4000)
    assert difference[exact == 0].std().item() == pytest.approx(7.0, rel=0.05)  # empty cells are noised, too


def test_noise_of_two_generations_is_independent(spec):
    candidates = torch.rand(2, 2000, 64, generator=torch.Generator().manual_seed(3))
    first = release(spec, candidates, noise=7.0, count=2)
    second = release(spec, candidates, noise=7.0, count=2, releases=2)
    exact = release(spec, candidates)
    pair = torch.stack([(first - exact).flatten(), (second - exact).flatten()])
    assert abs(torch.corrcoef(pair)[0, 1].item()) < 0.08


def test_a_generation_outside_the_plan_is_refused(spec, candidates):
    with pytest.raises(PrivacyError, match=VOTES):
        release(spec, candidates, noise=1.0, count=1, releases=2)


def test_an_embedding_that_mixes_records_is_refused(spec, candidates):
    with pytest.raises(PrivacyError, match="mixes records"):
        release(spec, candidates, embed=lambda images: points(images) - points(images).mean(0))
