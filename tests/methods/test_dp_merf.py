import pytest
import torch
from planned import plan_of

from dpbench.core.config import build
from dpbench.core.specs import Budget, Conditions, Request
from dpbench.methods.cores.matching.matching_settings import EMBEDDING
from dpbench.methods.cores.matching.matching_steps import noisy_sums
from dpbench.methods.dp_merf import DPMERF
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.vault import Vault

TINY = {"features": 400, "steps": 150, "batch": 40}
REQUEST = Request(Conditions.balanced(40, 2))


def _method(spec, **settings: object) -> DPMERF:
    return DPMERF(build(DPMERF.Config, TINY | settings), spec)


@pytest.mark.parametrize("bandwidths", [(0.1,), (0.1, 0.03, 0.01)])
def test_features_have_norm_one_and_approximate_the_mean_of_gaussian_kernels(spec, bandwidths):
    images = torch.rand(6, 1, 16, 16)
    features = _method(spec, features=60_000, bandwidths=bandwidths).features(images, 1)(images)
    squared = torch.cdist(images.flatten(1), images.flatten(1)).square()
    kernel = torch.stack([torch.exp(-squared / (2 * b * 16 * 16)) for b in bandwidths]).mean(0)
    assert torch.allclose(features.norm(dim=1), torch.ones(6), atol=1e-4)
    assert torch.allclose(features @ features.T, kernel, atol=0.03)


def test_noiseless_release_equals_class_mean_features(spec, sensitive, vault):
    method = _method(spec)
    features = method.features(torch.zeros(1, 1, 16, 16), 1)
    sums, counts = noisy_sums(vault(plan_of(method, REQUEST), float("inf")), EMBEDDING, features, 0.1)
    batch = sensitive.batch(range(400))
    embedded = features(batch.images.float() / 255)
    means = torch.stack([embedded[batch.labels == k].mean(0) for k in (0, 1)])
    assert torch.allclose(sums / counts, means, atol=1e-5)


def test_counts_are_as_noisy_as_the_features(spec, vault, monkeypatch):
    method = _method(spec, steps=1)
    plan, weight = plan_of(method, REQUEST), method.config.count_weight
    answers, noisy_sum = [], Vault.noisy_sum
    monkeypatch.setattr(Vault, "noisy_sum", lambda *args: answers.append(noisy_sum(*args)) or answers[-1])
    features = method.features(torch.zeros(1, 1, 16, 16), 1)
    released = [noisy_sums(vault(plan, epsilon), EMBEDDING, features, weight) for epsilon in (1.0, float("inf"))]
    noisy, exact = answers
    deviation = calibrate(plan, Budget(1.0, 1e-5))[EMBEDDING].noise_scale_at(1)
    assert (noisy - exact).std().item() == pytest.approx(deviation, rel=0.1)
    assert torch.allclose(exact[:, -1], torch.full((2,), 200 * weight))  # of 400 records in two classes
    assert ((noisy - exact)[:, -1].abs() > 0).all()
    sums, counts = released[0]
    assert torch.equal(sums, noisy[:, :-1])
    assert torch.equal(counts, noisy[:, -1:] / weight)


def test_a_record_contributes_a_vector_as_long_as_the_clip(spec, sensitive):
    method = _method(spec)
    (mechanism,) = plan_of(method, REQUEST).mechanisms
    images = sensitive.batch(range(50)).images.float() / 255
    embedded = method.features(images, 1)(images)
    contributions = torch.cat([embedded, torch.full((50, 1), method.config.count_weight)], 1)
    assert torch.allclose(contributions.norm(dim=1), torch.full((50,), mechanism.clip), atol=1e-5)


def test_a_larger_bound_scales_the_noise_and_leaves_the_contributions(spec, sensitive):
    usual, doubled = (_method(spec, bound=bound) for bound in (1.0, 2.0))
    (one,), (two,) = (plan_of(method, REQUEST).mechanisms for method in (usual, doubled))
    assert two.clip == pytest.approx((2.0**2 + usual.config.count_weight**2) ** 0.5)
    scales = [
        calibrate(plan_of(method, REQUEST), Budget(1.0, 1e-5))[EMBEDDING].noise_scale_at(1)
        for method in (usual, doubled)
    ]
    assert scales[1] / scales[0] == pytest.approx(two.clip / one.clip)
    images = sensitive.batch(range(5)).images.float() / 255
    features = [method.features(images, 1)(images) for method in (usual, doubled)]
    assert torch.equal(*features)


def test_the_authors_loss_is_the_unbiased_one_with_the_pairs_of_an_image_with_itself(spec):
    images, targets = torch.rand(2 * 5, 1, 16, 16), torch.randn(2, 400)
    unbiased, squared = (_method(spec, loss=loss).features(images, 1) for loss in ("unbiased", "squared"))
    embedded = unbiased(images).unflatten(0, (2, 5))
    assert torch.allclose(squared.loss(images, targets), (embedded.mean(1) - targets).square().sum(), rtol=1e-5)
    kernel = embedded @ embedded.mT
    pairs = (kernel.sum((1, 2)) - 5) / 20  # features have norm 1
    with_itself = squared.loss(images, targets) - targets.square().sum()
    assert torch.allclose(with_itself - unbiased.loss(images, targets), (0.2 * (1 - pairs)).sum(), atol=1e-3)


def test_samples_match_their_class_without_noise(spec, vault, run):
    method = _method(spec)
    private = vault(plan_of(method, REQUEST), float("inf"))
    method.fit(private, run)
    private.ledger.check_complete()
    pixels = method.sample(REQUEST.conditions, run).float().squeeze(1)
    horizontal = (pixels.mean(2).var(1) > pixels.mean(1).var(1)).float()
    assert horizontal[0::2].mean() > 0.8
    assert horizontal[1::2].mean() < 0.2
