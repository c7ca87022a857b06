import pytest
import torch
from planned import plan_of

from dpbench.core.config import build
from dpbench.core.specs import Budget, Conditions, Request
from dpbench.methods.cores.embedding_matching import EMBEDDING
from dpbench.methods.cores.matched_generator import mean_embeddings, mmd_loss
from dpbench.methods.dp_merf import DPMERF
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.vault import Vault

TINY = {"features": 400, "steps": 150, "batch": 40}
REQUEST = Request(Conditions.balanced(40, 2))


def _method(spec, **settings: object) -> DPMERF:
    return DPMERF(build(DPMERF.Config, TINY | settings), spec)


def test_features_have_norm_one_and_approximate_the_gaussian_kernel(spec):
    images = torch.rand(6, 1, 16, 16)
    features = _method(spec, features=40_000).features("cpu")(images)
    variance = 0.1 * 16 * 16
    kernel = torch.exp(-torch.cdist(images.flatten(1), images.flatten(1)).square() / (2 * variance))
    assert torch.allclose(features.norm(dim=1), torch.ones(6), atol=1e-4)
    assert torch.allclose(features @ features.T, kernel, atol=0.03)


def test_loss_is_an_unbiased_estimate_of_squared_distance():
    generator = torch.Generator().manual_seed(0)
    features = torch.nn.functional.normalize(torch.randn(1, 50_000, 8, generator=generator) + 0.5, dim=-1)
    target = torch.nn.functional.normalize(torch.ones(1, 8), dim=-1) * 0.3
    distance = (features.mean(1) - target).square().sum() - target.square().sum()
    small = torch.stack([mmd_loss(part, target) for part in features.split(4, dim=1)]).mean()
    assert small.item() == pytest.approx(distance.item(), abs=0.005)


def test_noiseless_release_equals_class_mean_features(spec, sensitive, vault):
    method = _method(spec)
    (mechanism,) = plan_of(method, REQUEST).mechanisms
    features = method.features("cpu")
    targets = mean_embeddings(
        vault(plan_of(method, REQUEST), float("inf")), mechanism.name, features, method.config.count_weight
    )
    batch = sensitive.batch(range(400))
    embedded = features(batch.images.float() / 255)
    means = torch.stack([embedded[batch.labels == k].mean(0) for k in (0, 1)])
    assert torch.allclose(targets, means, atol=1e-5)


def test_counts_are_as_noisy_as_the_features(spec, vault, monkeypatch):
    method = _method(spec)
    plan, features, weight = plan_of(method, REQUEST), method.features("cpu"), method.config.count_weight
    sums, noisy_sum = [], Vault.noisy_sum
    monkeypatch.setattr(Vault, "noisy_sum", lambda *args: sums.append(noisy_sum(*args)) or sums[-1])
    targets = [mean_embeddings(vault(plan, epsilon), EMBEDDING, features, weight) for epsilon in (1.0, float("inf"))]
    noisy, exact = sums
    deviation = calibrate(plan, Budget(1.0, 1e-5))[EMBEDDING].noise_scale_at(1)
    assert (noisy - exact).std().item() == pytest.approx(deviation, rel=0.1)
    assert torch.allclose(exact[:, -1], torch.full((2,), 200 * weight))  # of 400 records in two classes
    assert ((noisy - exact)[:, -1].abs() > 0).all()
    assert torch.equal(targets[0], noisy[:, :-1] / (noisy[:, -1:] / weight).clamp_min(1))


def test_a_record_contributes_a_vector_as_long_as_the_clip(spec, sensitive):
    method = _method(spec)
    (mechanism,) = plan_of(method, REQUEST).mechanisms
    embedded = method.features("cpu")(sensitive.batch(range(50)).images.float() / 255)
    contributions = torch.cat([embedded, torch.full((50, 1), method.config.count_weight)], 1)
    assert torch.allclose(contributions.norm(dim=1), torch.full((50,), mechanism.clip), atol=1e-5)


def test_samples_match_their_class_without_noise(spec, vault, run):
    method = _method(spec)
    private = vault(plan_of(method, REQUEST), float("inf"))
    method.fit(private, run)
    private.ledger.check_complete()
    pixels = method.sample(REQUEST.conditions, run).float().squeeze(1)
    horizontal = (pixels.mean(2).var(1) > pixels.mean(1).var(1)).float()
    assert horizontal[0::2].mean() > 0.8
    assert horizontal[1::2].mean() < 0.2
