import math

import pytest
import torch
from bar_orientation import share_horizontal
from planned import plan_of

from dpbench.core.config import build
from dpbench.core.errors import ConfigError, PrivacyError
from dpbench.core.specs import Budget, Conditions, DatasetSpec, Request
from dpbench.data.arrays import ArrayDataset
from dpbench.methods.central_wavelet import COVARIANCES, MEANS, CentralWavelet
from dpbench.methods.cores import coarse_gaussian
from dpbench.methods.cores.coarse_gaussian import CoarseGaussian, root
from dpbench.models.haar import coarse
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.mechanisms.mechanism import NoisySum
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.noise_key import NoiseKey
from dpbench.privacy.plan import Plan
from dpbench.privacy.vault import Vault

TINY = {"refiner.steps": 2, "refiner.width": 8, "refiner.depth": 1, "clip": 1.0, "rest_clip": 1.0, "pooling": 0.0}
REQUEST = Request(Conditions.balanced(40, 2))
WHITE = 4.0  # norm of a white coarse image of 4 × 4 pixels


def _method(spec: DatasetSpec, **settings: object) -> CentralWavelet:
    return CentralWavelet(build(CentralWavelet.Config, TINY | settings), spec)


def _bands(sensitive) -> tuple[torch.Tensor, torch.Tensor]:
    """Coarse images of the sensitive records in [0, 1], by block means, and their labels."""
    batch = sensitive.batch(range(400))
    return (batch.images.float() / 255).unfold(2, 4, 4).unfold(3, 4, 4).mean((4, 5)).flatten(1), batch.labels


@pytest.fixture
def answers(monkeypatch) -> list[torch.Tensor]:
    """What the vault answers."""
    seen, noisy_sum = [], Vault.noisy_sum
    monkeypatch.setattr(Vault, "noisy_sum", lambda *args: seen.append(noisy_sum(*args)) or seen[-1])
    return seen


def test_plan_is_two_sums_over_all_records(spec):
    means, covariances = plan_of(_method(spec, rest_clip=0.25, means_noise=3.0), REQUEST).mechanisms
    assert [(m.sampling_rate, m.releases, m.noise_multiplier) for m in (means, covariances)] == [(1, 1, None)] * 2
    assert means.clip == pytest.approx(math.hypot(1, 0.3))  # a coarse image over its clip, and the count
    assert covariances.clip == pytest.approx((0.25 * WHITE) ** 2)  # products of coefficients have the squared norm


def test_both_sums_together_cost_as_one_gaussian(spec):
    """1/σ² adds up: multipliers 3s and s cost as one of s / √(1 + 1/9), which is 3.7306 at ε = 1, δ = 1e-5."""
    plan = calibrate(plan_of(_method(spec), REQUEST), Budget(1.0, 1e-5))
    scale = 3.7306 * math.sqrt(1 + 1 / 9)
    assert plan[MEANS].noise_multiplier == pytest.approx(3 * scale, rel=5e-3)
    assert plan[COVARIANCES].noise_multiplier == pytest.approx(scale, rel=5e-3)


def test_noiseless_releases_are_mean_and_covariance_of_each_class(spec, sensitive, vault, run):
    method = _method(spec)
    private = vault(plan_of(method, REQUEST), math.inf)
    method.fit(private, run)
    private.ledger.check_complete()
    bands, labels = _bands(sensitive)
    for k in (0, 1):
        assert torch.allclose(method.model.means[k], bands[labels == k].mean(0), atol=1e-4)
        covariance = bands[labels == k].T.cov(correction=0)
        assert torch.allclose(method.model.roots[k] @ method.model.roots[k].T, covariance, atol=1e-4)


def test_pooling_mixes_the_covariances_of_all_classes(spec, sensitive, vault, run):
    method = _method(spec, pooling=0.25)
    method.fit(vault(plan_of(method, REQUEST), math.inf), run)
    bands, labels = _bands(sensitive)
    first, second = (bands[labels == k].T.cov(correction=0) for k in (0, 1))
    roots = method.model.roots
    assert torch.allclose(roots[0] @ roots[0].T, 0.875 * first + 0.125 * second, atol=1e-4)


def test_noise_of_a_rare_class_does_not_reach_the_others(spec, sensitive):
    images, labels = sensitive.batch(range(400)).images, torch.zeros(400, dtype=torch.long)
    labels[:2] = 1
    variances = []
    for epsilon in (math.inf, 10.0):
        ledger = Ledger(calibrate(Plan(NoisySum(name=COVARIANCES, clip=1.0)), Budget(epsilon, 1e-5)))
        source, noise = ArrayDataset(spec, images.numpy(), labels.numpy()), NoiseSource(key=NoiseKey.from_seed(0))
        model = CoarseGaussian((1, 4, 4), 2, 2)
        model.means = torch.full((2, 16), 0.5)
        counts = torch.tensor([[398.0], [2.0]])
        model.release_covariances(Vault(source, spec, ledger, noise), COVARIANCES, counts, 0.5)
        variances.append((model.roots @ model.roots.mT).diagonal(dim1=1, dim2=2).sum(1))
    without, with_noise = variances
    assert without[0] > 0.3
    assert with_noise[0] == pytest.approx(without[0].item(), rel=0.1)


def test_noise_is_that_of_the_plan_in_sums_and_counts(spec, vault, run, answers):
    method, plan = _method(spec), plan_of(_method(spec), REQUEST)
    exact, noisy = vault(plan, math.inf), vault(plan, 1.0)
    model = method.model
    counts = model.release_means(exact, MEANS, 4.0, 0.3)
    model.release_covariances(exact, COVARIANCES, counts, 0.0)
    means = model.means.clone()
    model.release_means(noisy, MEANS, 4.0, 0.3)
    model.means = means  # the same products
    model.release_covariances(noisy, COVARIANCES, counts, 0.0)
    assert counts.flatten().tolist() == pytest.approx([200, 200], rel=1e-4)
    for name, (without, with_noise) in {MEANS: answers[0::2], COVARIANCES: answers[1::2]}.items():
        noise = with_noise - without
        assert noise.std().item() == pytest.approx(
            noisy.plan[name].noise_scale_at(1), rel=0.3 if name == MEANS else 0.15
        )
    assert ((answers[2] - answers[0])[:, -1].abs() > 0).all()  # the counts, too


def test_sums_are_divided_by_noisy_counts(spec, vault, run, answers):
    method = _method(spec)
    method.fit(vault(plan_of(method, REQUEST), 1.0), run)
    counts = (answers[0][:, -1:] / 0.3).clamp_min(1)
    assert torch.allclose(method.model.means, WHITE * answers[0][:, :-1] / counts)


def test_records_contribute_no_more_than_the_clip(spec, sensitive, vault, answers):
    """White images, whose coarse band and products are the largest possible, with clips far below them."""
    model, n = CoarseGaussian((1, 4, 4), 2, 2), 400
    plan = Plan(NoisySum(name=MEANS, clip=math.hypot(1, 0.3)), NoisySum(name=COVARIANCES, clip=0.04))
    bands, labels = _bands(sensitive)
    counts = model.release_means(vault(plan, math.inf), MEANS, 0.2, 0.3)
    unit = 0.2 * torch.stack([(bands / bands.norm(dim=1, keepdim=True))[labels == k].mean(0) for k in (0, 1)])
    assert torch.allclose(model.means, unit, atol=1e-4)  # every band is longer than 0.2
    model.release_covariances(vault(plan, math.inf), COVARIANCES, counts, 0.0)
    assert answers[1].norm() <= n * 0.04
    rest = bands - model.means[labels]
    shorter = 0.2 * rest / rest.norm(dim=1, keepdim=True).clamp_min(0.2)  # clipping products clips the rest
    exact = torch.stack([shorter[labels == k].T @ shorter[labels == k] / 200 for k in (0, 1)])
    assert torch.allclose(model.roots @ model.roots.transpose(1, 2), exact, atol=1e-4)


def test_the_bound_on_noise_is_that_of_the_noise_in_the_mixed_covariances(vault, monkeypatch):
    """2s√d, where s is the deviation of the entries beside the diagonal, of which d(d - 1) are the most."""
    seen = []
    monkeypatch.setattr(coarse_gaussian, "root", lambda *given: seen.append(given) or root(*given))
    plan, d = Plan(NoisySum(name=COVARIANCES, clip=1.0)), 16
    for epsilon in (math.inf, 0.1):
        model = CoarseGaussian((1, 4, 4), 2, 2)
        model.means = torch.full((2, d), 0.5)
        model.release_covariances(vault(plan, epsilon), COVARIANCES, torch.tensor([[300.0], [100.0]]), 0.5)
    (exact, _), (noisy, bound) = seen
    rows, columns = torch.triu_indices(d, d, offset=1)
    assert torch.allclose(bound, 2 * math.sqrt(d) * (noisy - exact)[:, rows, columns].std(1), rtol=0.25)


def test_directions_that_noise_could_have_made_are_left_out():
    """Symmetric noise of deviation s has eigenvalues up to 2s√d; one true direction is above it."""
    generator, d, s = torch.Generator().manual_seed(0), 60, 0.01
    noise = torch.randn(1, d, d, generator=generator) * s
    noise = noise.triu() + noise.triu(1).transpose(1, 2)
    true = torch.zeros(1, d, d)
    true[0, 3, 3] = 1
    bound = torch.tensor([2 * s * math.sqrt(d)])
    roots = root(true + noise, bound)
    assert (roots.norm(dim=1) > 0).sum() in (1, 2)
    assert torch.allclose(roots @ roots.transpose(1, 2), true, atol=0.05)
    assert root(noise, 1.15 * bound).count_nonzero() == 0
    both = root(torch.cat([noise, noise]), torch.cat([1.15 * bound, 0 * bound]))  # each matrix has its own bound
    assert [bool(r.any()) for r in both] == [False, True]


def test_coarse_images_are_drawn_from_the_gaussian(spec):
    model = CoarseGaussian((1, 4, 4), 2, 2)
    model.means = torch.stack([torch.full((16,), 0.4), torch.full((16,), 0.6)])
    model.roots = 0.05 * torch.eye(16).repeat(2, 1, 1)
    images = model.sample(Conditions(4000, (0, 1) * 2000), 2, torch.Generator().manual_seed(0))
    assert images.shape == (8000, 1, 4, 4)
    first = images.unflatten(0, (-1, 2))[0::2].flatten(0, 1)  # two draws per condition
    assert first.mean().item() == pytest.approx(-0.2, abs=0.01)  # in [-1, 1]
    assert first.std(dim=0).mean().item() == pytest.approx(0.1, abs=0.005)


def test_a_count_is_at_least_twice_its_noise(spec, vault):
    method = _method(spec)
    private = vault(plan_of(method, REQUEST), 0.01)
    counts = method.model.release_means(private, MEANS, 1.0, 0.3)
    least = 2 * private.plan[MEANS].noise_scale_at(1) / 0.3
    assert (counts >= least).all()
    assert least > 400  # more than there are records


def test_third_release_is_refused(spec, vault, run):
    method = _method(spec)
    private = vault(plan_of(method, REQUEST), 5.0)
    method.fit(private, run)
    with pytest.raises(PrivacyError, match="spent"):
        method.model.release_means(private, MEANS, 1.0, 0.3)


def test_sizes_and_public_images_are_checked(spec, run):
    with pytest.raises(ConfigError, match="2 levels do not divide 18 pixels"):
        CentralWavelet.plan(build(CentralWavelet.Config, {}), DatasetSpec("odd", 1, 18, 400, 0, None, True), REQUEST)
    large = DatasetSpec("large", 3, 256, 400, 0, None, True)
    with pytest.raises(ConfigError, match=r"12,288 coefficients is too large .* set levels above 2"):
        CentralWavelet.plan(build(CentralWavelet.Config, {}), large, REQUEST)
    with pytest.raises(ConfigError, match="--public"):
        _method(spec).prepare(None, run)


def test_settings_of_the_refiner_must_fit_the_levels(spec):
    with pytest.raises(ConfigError, match="width = 10 must be a multiple of 4"):
        plan_of(_method(spec, **{"refiner.width": 10}), REQUEST)


def test_public_part_alone_has_public_images_for_every_class(spec, public, run):
    method = _method(spec)
    method.prepare(public, run)
    bands = coarse(public.batch(range(300)).images.float() / 255, 2).flatten(1)
    for k in (0, 1):
        assert torch.allclose(method.model.means[k], bands.mean(0), atol=1e-4)


def test_samples_match_their_class_and_survive_the_state(spec, public, vault, run):
    method = _method(spec, **{"refiner.steps": 100})
    method.prepare(public, run)
    method.prepare_sampling(public, run)
    method.fit(vault(plan_of(method, REQUEST), 10.0), run)
    images = method.sample(REQUEST.conditions, run)
    assert images.shape == (40, 1, 16, 16)
    assert share_horizontal(images[0::2]) > 0.7
    assert share_horizontal(images[1::2]) < 0.3
    other = _method(spec)
    other.load_state_dict(method.state_dict())
    run.generator.manual_seed(3)
    first = method.sample(REQUEST.conditions, run)
    run.generator.manual_seed(3)
    assert torch.equal(first, other.sample(REQUEST.conditions, run))
