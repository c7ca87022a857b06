import math

import pytest
import torch
from bar_orientation import share_horizontal
from planned import plan_of
from scipy.optimize import brentq
from scipy.stats import norm

from dpbench.core.cache import PublicCache
from dpbench.core.config import build
from dpbench.core.errors import ConfigError, PrivacyError, UnknownName
from dpbench.core.specs import Budget, Conditions, DatasetSpec, Request
from dpbench.methods.cores.votes import candidate_selection
from dpbench.methods.pe import PE, VOTES
from dpbench.privacy.accounting.events import GaussianEvent
from dpbench.privacy.calibration import calibrate

TINY = {"generator.name": "nearest", "population": 20, "iterations": 3}
REQUEST = Request(Conditions.balanced(64, 2))
MNIST = DatasetSpec("mnist", 1, 32, 60_000, 10_000, tuple("0123456789"), True)
DELTA = 1e-5


def _method(spec, **settings: object) -> PE:
    return PE(build(PE.Config, TINY | settings), spec)


def _epsilon(sigma: float, delta: float) -> float:
    """ε of the Gaussian mechanism of sensitivity 1 (Balle and Wang, arXiv 1805.06530)."""

    def excess(epsilon: float) -> float:
        far = math.exp(epsilon) * norm.cdf(-0.5 / sigma - epsilon * sigma)
        return norm.cdf(0.5 / sigma - epsilon * sigma) - far - delta

    return brentq(excess, 0, 100)


def test_plan_is_a_histogram_per_iteration_over_all_records(spec):
    (votes,) = plan_of(_method(spec, iterations=5, votes=3), REQUEST).mechanisms
    assert (votes.name, votes.sampling_rate, votes.releases, votes.clip) == (VOTES, 1.0, 5, 1.0)
    assert votes.noise_multiplier is None  # the whole budget
    assert votes.schedule == ()


@pytest.mark.parametrize("iterations", [1, 6, 20])
@pytest.mark.parametrize("epsilon", [1.0, 10.0])
def test_iterations_compose_as_one_gaussian_mechanism(spec, iterations, epsilon):
    """T releases of multiplier σ are one of multiplier σ / √T."""
    plan = calibrate(plan_of(_method(spec, iterations=iterations), REQUEST), Budget(epsilon, DELTA))
    sigma = plan[VOTES].noise_multiplier
    assert _epsilon(sigma / math.sqrt(iterations), DELTA) == pytest.approx(epsilon, rel=0.006)
    assert plan[VOTES].events() == [GaussianEvent(sigma, 1.0, iterations)]


def test_published_iterations_cost_what_the_paper_says():
    """CIFAR-10: 20 iterations at σ = 5√2."""
    assert _epsilon(5 * math.sqrt(2) / math.sqrt(20), DELTA) == pytest.approx(2.6, abs=0.1)


def test_published_constants():
    c = build(PE.Config, PE.presets["paper"].settings)
    assert (c.embedding, c.iterations, c.lookahead, c.votes, c.select, c.keep) == (
        "inception", 20, 8, 1, "proportional", False,
    )  # fmt: skip
    assert 10 * c.population == 50_000
    assert c.threshold * 5 * math.sqrt(2) == pytest.approx(10)  # threshold 10 at noise 5√2
    assert [round(100 * (1 - c.degree(i))) for i in (0, 1, 19)] == [0, 2, 38]


def test_degrees_fall_linearly(spec):
    c = _method(spec, iterations=3, first_degree=0.5, last_degree=0.1).config
    assert [c.degree(i) for i in range(3)] == pytest.approx([0.5, 0.3, 0.1])
    assert _method(spec, iterations=1, first_degree=0.5).config.degree(0) == 0.5


@pytest.mark.parametrize("settings", [{}, {"select": "rank", "keep": True, "lookahead": 2, "votes": 2}])
def test_samples_match_their_class_without_noise(spec, public, vault, run, settings):
    method = _method(spec, **settings)
    method.prepare(public, run)
    before = method.sample(REQUEST.conditions, run)
    assert 0.1 < share_horizontal(before[0::2]) < 0.9  # the public source has both kinds in one
    private = vault(plan_of(method, REQUEST), math.inf)
    method.fit(private, run)
    private.ledger.check_complete()
    images = method.sample(REQUEST.conditions, run)
    assert images.shape == (64, 1, 16, 16)
    assert share_horizontal(images[0::2]) > 0.9
    assert share_horizontal(images[1::2]) < 0.1


def test_samples_follow_the_budget(spec, public, vault, run):
    shares = []
    for epsilon in (0.01, 10.0):
        method = _method(spec, population=50, iterations=2)
        method.prepare(public, run)
        method.fit(vault(plan_of(method, REQUEST), epsilon), run)
        images = method.sample(Request(Conditions.balanced(400, 2)).conditions, run)
        shares.append(share_horizontal(images[0::2]) - share_horizontal(images[1::2]))
    assert shares[0] < 0.5 < shares[1]


def test_the_threshold_is_in_units_of_the_noise(spec, public, vault, run, monkeypatch):
    thresholds = []
    method = _method(spec, iterations=1, threshold=1.5)
    method.prepare(public, run)
    private = vault(plan_of(method, REQUEST), 1.0)
    monkeypatch.setattr(
        candidate_selection, "above", lambda votes, threshold: thresholds.append(threshold) or torch.ones_like(votes)
    )
    method.fit(private, run)
    assert thresholds == [pytest.approx(1.5 * private.plan[VOTES].noise_multiplier)]


def test_lookahead_compares_records_with_the_mean_of_variations(spec, public, run):
    method = _method(spec, lookahead=3)
    method.prepare(public, run)
    people, calls = method._population, []
    candidates = people.candidates

    def vary(given, degree, run):
        calls.append((given, degree))
        return given._replace(images=torch.full_like(given.images, 50 * len(calls)))

    people.generator.vary = vary
    points = people.embeddings(lambda images: images.float().flatten(1), 3, 0.4, run)
    assert [degree for _, degree in calls] == [0.4] * 3
    assert all(given is candidates for given, _ in calls)
    assert points.shape == (2, 20, 256)
    assert points.unique().tolist() == [100]


def test_half_of_the_drawn_candidates_stay_with_keep(spec, public, run):
    method = _method(spec, keep=True)
    method.prepare(public, run)
    people = method._population
    before = people.candidates.images
    people.generator.vary = lambda given, degree, run: given._replace(images=torch.zeros_like(given.images))
    people.evolve(0.3, True, run)
    after = people.candidates.images.unflatten(0, (2, 20))
    assert not after[:, 10:].any()
    for k in (0, 1):
        own = before[20 * k : 20 * (k + 1)]
        assert all((own == image).flatten(1).all(1).any() for image in after[k, :10])


def test_children_descend_from_their_own_class_by_weight(spec, public, run):
    method = _method(spec)
    method.prepare(public, run)
    people = method._population
    people.candidates = people.candidates._replace(origins=torch.arange(40.0)[:, None])
    people.weights = torch.zeros(2, 20)
    people.weights[0, 3], people.weights[1, [5, 6]] = 1, torch.tensor([1.0, 3.0])
    people.generator.vary = lambda given, degree, run: given
    drawn = [people._drawn(torch.full((4000,), k), run).origins[:, 0] for k in (0, 1)]
    assert set(drawn[0].tolist()) == {3}
    assert (drawn[1] == 26).float().mean().item() == pytest.approx(0.75, abs=0.03)
    people.evolve(0.3, False, run)
    assert set(people.candidates.origins[:20, 0].tolist()) == {3}
    assert people.weights.unique().tolist() == [1]  # until the next votes


def test_the_public_cache_is_used_in_prepare_alone(spec, public, vault, run, monkeypatch):
    small = {"steps": 2, "batch": 16, "channels": (8,), "sampling_steps": 2}
    settings = {"generator.name": "diffusion", **{f"generator.{k}": v for k, v in small.items()}}
    method = PE(build(PE.Config, {"population": 4, "iterations": 1, **settings}), spec)
    method.prepare(public, run)
    run.cache.close()
    monkeypatch.setattr(PublicCache, "get", lambda *_: pytest.fail("the cache is used in fit"))
    method.fit(vault(plan_of(method, REQUEST), 10), run)
    assert method.sample(Conditions.balanced(3, 2), run).shape == (3, 1, 16, 16)


def test_an_extractor_can_be_the_embedding(spec, public, vault, run):
    method = _method(spec, embedding="wavelet-packet", iterations=1)
    method.prepare(public, run)
    method.fit(vault(plan_of(method, REQUEST), math.inf), run)
    assert share_horizontal(method.sample(REQUEST.conditions, run)[0::2]) > 0.8


def test_weights_of_the_embedding_are_named_and_move_the_row_to_foundation(monkeypatch):
    monkeypatch.setattr("dpbench.models.pretrained.finding.fingerprint", lambda name: "0123456789ab")
    c = build(PE.Config, TINY | {"embedding": "inception"})
    assert PE.weights_of(c) == {"inception": "0123456789ab"}
    assert PE.track_of(c) == "foundation"
    assert PE.track_of(build(PE.Config, TINY)) == "images"
    assert PE.weights_of(build(PE.Config, TINY)) == {}


def test_wrong_settings_are_refused(spec):
    with pytest.raises(ConfigError, match="trained on the sensitive images"):
        _method(spec, embedding="classifier")
    with pytest.raises(UnknownName, match="did you mean inception"):
        _method(spec, embedding="inceptio")
    with pytest.raises(ConfigError, match="cannot vote for 30 of 20"):
        _method(spec, votes=30)
    with pytest.raises(ConfigError, match="variations become smaller"):
        _method(spec, first_degree=0.1, last_degree=0.2)
    with pytest.raises(ConfigError, match="do not divide 18 pixels"):
        PE.plan(build(PE.Config, {}), DatasetSpec("odd", 1, 18, 400, 0, None, True), REQUEST)


def test_missing_weights_of_an_embedding_say_what_to_do(spec, public, vault, run):
    method = _method(spec, embedding="inception")
    method.prepare(public, run)
    with pytest.raises(ConfigError, match="embedding=pixels"):
        method.fit(vault(plan_of(method, REQUEST), 10), run)


def test_a_public_source_is_needed(spec, run):
    with pytest.raises(ConfigError, match="--public"):
        _method(spec).prepare(None, run)


def test_a_generation_more_than_planned_is_refused(spec, public, vault, run):
    method, short = _method(spec, iterations=3), _method(spec, iterations=2)
    method.prepare(public, run)
    with pytest.raises(PrivacyError, match=VOTES):
        method.fit(vault(plan_of(short, REQUEST), 10), run)


def test_votes_of_rows_without_labels(public, run):
    spec = DatasetSpec("plain", 1, 16, 400, 0, None, True)
    method = _method(spec)
    method.prepare(public, run)
    assert method._population.weights.shape == (1, 20)
    assert method.sample(Conditions(3), run).shape == (3, 1, 16, 16)
