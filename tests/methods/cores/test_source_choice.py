"""The private choice of a public source: votes, their bound and noise, the plan with them, and what the method gets."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import norm

from dpbench.core.config import build
from dpbench.core.errors import ConfigError, PrivacyError
from dpbench.core.public_sources import PublicSources
from dpbench.core.specs import Batch, Budget, Conditions, DatasetSpec, Request
from dpbench.data.arrays import ArrayDataset
from dpbench.methods.cores.votes.source_choice import VOTES, SourceChoice, choosing
from dpbench.methods.cores.votes.source_votes import SourceBallot
from dpbench.methods.pe import PE
from dpbench.models.nearest_points import pixel_points
from dpbench.privacy.accounting.events import GaussianEvent
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.noise_key import NoiseKey
from dpbench.privacy.plan import Plan
from dpbench.privacy.vault import Vault

REQUEST = Request(Conditions.balanced(10, 2))
NAMES = ("bars", "grain")
EMBED = partial(pixel_points, side=16)


@pytest.fixture
def grain() -> ArrayDataset:
    """Public images that look like no bars: noise."""
    images = torch.randint(0, 256, (90, 1, 16, 16), generator=torch.Generator().manual_seed(5)).to(torch.uint8)
    return ArrayDataset(DatasetSpec("grain", 1, 16, 90, 0, None, True), images, None, "grain")


@pytest.fixture
def sources(public, grain) -> PublicSources:
    return PublicSources("auto:bars,grain", {"bars": public, "grain": grain})


@pytest.fixture
def ballot(public, grain) -> SourceBallot:
    return SourceBallot([public, grain], 60, EMBED, "cpu")


def votes_of(records: ArrayDataset, noise: float, seed: int = 0) -> Vault:
    plan = Plan(SourceChoice(noise=noise or 1.0).votes())
    calibrated = calibrate(plan, Budget(100.0 if noise else math.inf, 1e-5))
    return Vault(records, records.spec, Ledger(calibrated), NoiseSource(key=NoiseKey.from_seed(seed)))


def test_records_vote_for_the_source_of_the_nearest_image(sensitive, public, grain, ballot):
    counts = ballot.count(votes_of(sensitive, 0.0), VOTES)
    images = torch.cat(
        [public.batch([5 * i for i in range(60)]).images, grain.batch([3 * i // 2 for i in range(60)]).images]
    )
    distances = torch.cdist(EMBED(sensitive.batch(range(400)).images).double(), EMBED(images).double())
    expected = (distances.argmin(1) >= 60).long().bincount(minlength=2)
    assert counts.tolist() == expected.tolist()
    assert counts[0] > 350


def test_a_large_source_has_no_more_images_than_a_small_one(sensitive, public, grain):
    few = ArrayDataset(grain.spec, grain.batch(range(7)).images, None, "few")
    assert len(SourceBallot([public, few], 60, EMBED, "cpu")._points) == 14


@pytest.mark.parametrize("broken", [None, math.nan, math.inf, 1e30])
def test_whatever_a_record_is_it_adds_one_vote(public, grain, broken):
    """Records of all kinds, and an embedding that fails on some of them."""

    def embed(images):
        points = EMBED(images)
        if broken is not None and len(images) == 6:  # the records, not the sources
            points[::2] = broken
        return points

    extreme = [torch.zeros(1, 16, 16), torch.full((1, 16, 16), 255), torch.eye(16)[None] * 255]
    images = torch.stack([*extreme, *public.batch([0, 0]).images, grain.batch([0]).images[0]]).to(torch.uint8)
    added = SourceBallot([public, grain], 60, embed, "cpu").vote(Batch(images))
    assert added.norm(dim=1).tolist() == [1.0] * 6
    assert set(added.flatten().tolist()) == {0.0, 1.0}


def test_a_record_more_or_less_moves_the_counts_by_one(sensitive, ballot):
    """Also one that looks like no other."""
    images = torch.cat([torch.full((1, 1, 16, 16), 255, dtype=torch.uint8), sensitive.batch(range(20)).images])

    def counts(chosen):
        spec = DatasetSpec("some", 1, 16, len(chosen), 0, None, True)
        return ballot.count(votes_of(ArrayDataset(spec, chosen, None, "some"), 0.0), VOTES)

    everyone = counts(images)
    for gone in (0, 7):
        kept = torch.cat([images[:gone], images[gone + 1 :]])
        assert (everyone - counts(kept)).norm() == 1


def test_the_noise_is_gaussian_with_the_planned_scale(grain):
    spec = DatasetSpec("few", 1, 16, 20, 0, None, True)
    few = ArrayDataset(spec, torch.zeros(20, 1, 16, 16, dtype=torch.uint8), None, "few")
    ballot = SourceBallot([grain] * 50, 2, EMBED, "cpu")
    exact = ballot.count(votes_of(few, 0.0), VOTES)
    noise = torch.cat([ballot.count(votes_of(few, 7.0, seed), VOTES) - exact for seed in range(8)])
    assert abs(noise.mean()) < 4 * 7 / 400**0.5
    assert noise.std() == pytest.approx(7, rel=0.15)  # four standard errors
    assert (noise.abs() < 7).float().mean() == pytest.approx(0.683, abs=0.1)


def test_the_plan_is_the_votes_and_the_method_s_own(spec):
    method = choosing(PE, SourceChoice(noise=30.0), NAMES)
    config = build(PE.Config, {"iterations": 3})
    votes, *own = method.plan(config, spec, REQUEST).mechanisms
    assert (votes.name, votes.clip, votes.events()) == (VOTES, 1.0, [GaussianEvent(30.0, 1.0, 1)])
    assert tuple(own) == PE.plan(config, spec, REQUEST).mechanisms


def gaussian_mu(epsilon: float, delta: float) -> float:
    """μ of Gaussian differential privacy that costs ε at δ (Balle and Wang, arXiv 1805.06530, theorem 8)."""

    def excess(mu: float) -> float:
        return norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu) - delta

    return brentq(excess, 0.01, 10)


@pytest.mark.parametrize("epsilon", [0.5, 5.0])
def test_votes_and_method_are_calibrated_together(spec, epsilon):
    """Gaussian mechanisms over all records compose as one, whose cost is known in closed form."""
    config = build(PE.Config, {"iterations": 4})
    plan = choosing(PE, SourceChoice(noise=20.0), NAMES).plan(config, spec, REQUEST)
    votes, histograms = calibrate(plan, Budget(epsilon, 1e-5)).mechanisms
    assert votes.noise_multiplier == 20.0
    mu = math.sqrt(1 / 20**2 + 4 / histograms.noise_multiplier**2)
    assert mu == pytest.approx(gaussian_mu(epsilon, 1e-5), rel=0.005)
    assert mu < gaussian_mu(epsilon, 1e-5)


def test_votes_that_cost_more_than_the_budget_are_refused(spec):
    plan = choosing(PE, SourceChoice(noise=2.0), NAMES).plan(build(PE.Config, {}), spec, REQUEST)
    with pytest.raises(PrivacyError, match="fixed noise alone cost"):
        calibrate(plan, Budget(0.5, 1e-5))


def test_votes_outside_the_plan_are_refused(sensitive, ballot, vault):
    with pytest.raises(PrivacyError, match=f"no mechanism '{VOTES}'"):
        ballot.count(vault(PE.plan(build(PE.Config, {}), sensitive.spec, REQUEST), 1.0), VOTES)
    private = votes_of(sensitive, 1.0)
    ballot.count(private, VOTES)
    with pytest.raises(PrivacyError, match="all 1 planned releases"):
        ballot.count(private, VOTES)


SMALL = {"generator.name": "nearest", "population": 20, "iterations": 1}


def test_the_method_learns_from_the_chosen_source_alone(spec, sources, vault, run):
    method = choosing(PE, SourceChoice(noise=5.0), NAMES)
    config = build(PE.Config, SMALL)
    chosen, alone = method(config, spec), PE(config, spec)
    chosen.prepare(sources, run)
    chosen.prepare_sampling(sources, run)
    assert chosen.public_choice == ""
    private = vault(method.plan(config, spec, REQUEST), 10.0)
    chosen.fit(private, run)
    private.ledger.check_complete()
    assert chosen.public_choice == "bars"
    images = chosen.sample(Conditions.balanced(6, 2), run)
    bars = sources.sources["bars"].batch(range(300)).images
    assert all((bars == image).flatten(1).all(1).any() for image in images)
    alone.load_state_dict(chosen.state_dict())
    assert chosen.parameters() == alone.parameters()


def test_without_prepared_sources_nothing_is_chosen(spec, vault, run):
    method, config = choosing(PE, SourceChoice(), NAMES), build(PE.Config, SMALL)
    with pytest.raises(ConfigError, match="run prepare first"):
        method(config, spec).fit(vault(method.plan(config, spec, REQUEST), 10.0), run)


def test_sources_together_are_a_dataset(public, grain, sources):
    assert len(sources) == 390
    images = sources.batch([389, 0, 300, 299]).images
    wanted = [grain.batch([89]), public.batch([0]), grain.batch([0]), public.batch([299])]
    assert torch.equal(images, torch.cat([batch.images for batch in wanted]))
    assert sources.fingerprint != PublicSources("auto:bars,grain", {"bars": public, "grain": public}).fingerprint
