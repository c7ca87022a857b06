import math

import pytest
import torch
from bar_orientation import share_horizontal
from planned import plan_of

from dpbench.benchmark.configure import configure
from dpbench.core.config import build
from dpbench.core.errors import ConfigError, PrivacyError
from dpbench.core.specs import Budget, Conditions, DatasetSpec, Request
from dpbench.methods.cores.matching.kernel_features import KernelFeatures, smooth_images
from dpbench.methods.cores.matching.matching_settings import EMBEDDING
from dpbench.methods.cores.matching.matching_steps import noisy_sums
from dpbench.methods.dp_kernel import DPKernel
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.vault import Vault

TINY = {"releases": 15, "steps": 150, "batch": 40, "bandwidths": (0.3, 0.1), "smooth": 20}
REQUEST = Request(Conditions.balanced(40, 2))
MNIST = DatasetSpec("mnist", 1, 32, 60_000, 10_000, tuple("0123456789"), True)
SCALES = (0.06, 0.015)


def _method(spec: DatasetSpec, **settings: object) -> DPKernel:
    return DPKernel(build(DPKernel.Config, TINY | settings), spec)


def _kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The mean of two Gaussian kernels, computed in double precision."""
    squared = torch.cdist(a.flatten(1).double(), b.flatten(1).double()).square() / (16 * 16)
    return torch.stack([(-squared / (2 * s)).exp() for s in SCALES]).mean(0)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(12, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def test_inner_products_with_anchors_are_kernel_values(images):
    anchors = images[:8]
    features = KernelFeatures(anchors, SCALES, ridge=1e-6)
    assert torch.allclose((features(anchors) @ features(images).T).double(), _kernel(anchors, images), atol=1e-3)


@pytest.mark.parametrize("ridge", [1e-3, 0.1])
def test_features_have_norm_one_at_most(images, ridge):
    """Also at the anchors, at black and white images, and where all anchors are the same image."""
    extreme = torch.stack([torch.zeros(1, 16, 16), torch.ones(1, 16, 16)])
    for anchors in (images[:8], images[:1].expand(8, -1, -1, -1), extreme):
        norms = KernelFeatures(anchors, SCALES, ridge)(torch.cat([images, extreme])).norm(dim=1)
        assert norms.max() <= 1
        assert norms.max() > 0.1


def test_root_times_the_release_is_the_kernel_mean_with_correlated_noise(images, sensitive, vault, spec):
    """Noise on L⁻¹ k(Z, x) of covariance (σC)² I becomes noise on k(Z, x) of covariance (σC)² (K(Z, Z) + λI)."""
    method, anchors, ridge = _method(spec, releases=1), images[:6], 0.05
    plan, features = plan_of(method, REQUEST), KernelFeatures(anchors, SCALES, ridge)
    exact, counts = noisy_sums(vault(plan, math.inf), EMBEDDING, features, 0.1)
    batch = sensitive.batch(range(400))
    private = batch.images.float() / 255
    means = torch.stack([_kernel(anchors, private[batch.labels == k]).mean(1) for k in (0, 1)])
    assert torch.allclose((exact / counts @ features.root.T).double(), means, atol=1e-4)
    many = plan_of(_method(spec, releases=60), REQUEST)
    noisy, scale = vault(many, 5.0), calibrate(many, Budget(5.0, 1e-5))[EMBEDDING].noise_scale_at(1)
    noise = torch.cat([noisy_sums(noisy, EMBEDDING, features, 0.1)[0] - exact for _ in range(60)]) @ features.root.T
    covariance = noise.T @ noise / len(noise) / scale**2
    assert torch.allclose(covariance.double(), _kernel(anchors, anchors) + ridge * torch.eye(6), atol=0.5)


def test_noise_is_added_where_all_generated_images_are_the_same(spec, vault, run, monkeypatch):
    """The kernel matrix is singular there; published code skips the noise in an `except`."""
    method = _method(spec, releases=2, steps=2, jitter=0, smooth=0)
    monkeypatch.setattr(
        method.model.network, "forward", lambda labels, generator: torch.full((len(labels), 1, 16, 16), 0.5) + 0 * sum(
            p.sum() for p in method.model.network.parameters()
        ),
    )  # fmt: skip
    answers, noisy_sum = [], Vault.noisy_sum
    monkeypatch.setattr(Vault, "noisy_sum", lambda *args: answers.append(noisy_sum(*args)) or answers[-1])
    private = vault(plan_of(method, REQUEST), 1.0)
    method.fit(private, run)
    private.ledger.check_complete()
    deviation = private.plan[EMBEDDING].noise_scale_at(1)
    assert len(answers) == 2
    for answer in answers:
        # all but the first component of L⁻¹ k(Z, x) are next to nothing, as all anchors are the same
        assert answer[:, 1:-1].std().item() == pytest.approx(deviation, rel=0.25)


def test_private_points_are_never_anchors_and_no_pair_of_them_is_compared(spec, sensitive, vault, run, monkeypatch):
    """The noisy function is evaluated at generated images only."""
    method, made = _method(spec, releases=3, steps=3), []
    features = method.features
    monkeypatch.setattr(
        method, "features", lambda generated, release: made.append(generated) or features(generated, release)
    )
    seen = set()
    forward = method.model.network.forward

    def generate(*arguments):
        images = forward(*arguments)
        seen.add(tuple(images.detach().flatten()[:50].tolist()))
        return images

    monkeypatch.setattr(method.model.network, "forward", generate)
    method.fit(vault(plan_of(method, REQUEST), 5.0), run)
    assert len(made) == 3
    assert {tuple(generated.flatten()[:50].tolist()) for generated in made} == seen
    assert {len(generated) for generated in made} == {40}  # of a fixed size, whatever the Poisson sample


def test_labels_of_generated_images_are_equally_many_of_each_class(spec, vault, run, monkeypatch):
    """Not those of the private sample, as in DPImageBench."""
    method, seen = _method(spec, releases=2, steps=2, rate=0.1), []
    forward = method.model.network.forward
    monkeypatch.setattr(
        method.model.network, "forward", lambda labels, g: seen.append(labels.clone()) or forward(labels, g)
    )
    method.fit(vault(plan_of(method, REQUEST), 5.0), run)
    assert [labels.bincount().tolist() for labels in seen] == [[20, 20]] * 2


def test_anchors_are_generated_images_as_many_with_public_noise_and_public_blobs(spec):
    generated = torch.full((5, 1, 16, 16), 0.5)
    first, again, other = (_method(spec, jitter=0.2).features(generated, release).anchors for release in (1, 1, 2))
    assert torch.equal(first, again)  # a run that continues makes the same features
    assert len(first) == 5 + 5 + 20
    assert torch.equal(first[:5], generated.flatten(1))
    assert first[5:10].std().item() == pytest.approx(0.2 * 0.65, rel=0.2)  # interpolation smooths the noise
    assert not torch.allclose(first[5:10], other[5:10], atol=0.1)
    assert not torch.allclose(first[10:], other[10:], atol=0.1)


def test_smooth_images_are_dark_and_bright_ones_without_sharp_edges():
    images = smooth_images((200, 1, 32, 32), torch.Generator().manual_seed(0))
    assert images.shape == (200, 1, 32, 32)
    assert images.min() == 0
    assert images.max() == 1
    means = images.mean((1, 2, 3))
    assert means.quantile(0.2) < 0.2
    assert means.quantile(0.8) > 0.8
    assert (images[..., 1:] - images[..., :-1]).abs().max() < 0.5


def test_loss_is_the_squared_distance_of_features_and_what_anchors_do_not_see(images):
    features = KernelFeatures(images[:4], SCALES, ridge=0.01, nearness=0.5)
    targets = torch.rand(2, 4, generator=torch.Generator().manual_seed(1))
    expected = 0.0
    for group, target in zip(features(images).split(6), targets, strict=True):
        products = group @ group.T
        expected += (products.sum() - products.trace()) / 30 - 2 * group.mean(0) @ target
        expected += 0.5 * (1 - products.trace() / 6)
    assert features.loss(images, targets).item() == pytest.approx(float(expected), abs=1e-4)


def test_images_far_from_all_anchors_cost_their_whole_norm():
    """Without `nearness`, they would cost nothing, and the generator would leave for them."""
    anchors, far = torch.zeros(2, 1, 16, 16), torch.ones(4, 1, 16, 16)
    free, near = (KernelFeatures(anchors, (0.015,), 0.01, nearness) for nearness in (0.0, 0.5))
    targets = torch.full((2, 2), 0.1)
    assert free.loss(far, targets).item() == pytest.approx(0, abs=1e-3)
    assert near.loss(far, targets).item() == pytest.approx(2 * 0.5, abs=1e-3)


def test_plan_has_the_releases_of_the_settings(spec):
    (query,) = plan_of(_method(spec, releases=7, rate=0.2), REQUEST).mechanisms
    assert (query.name, query.sampling_rate, query.releases, query.noise_multiplier) == (EMBEDDING, 0.2, 7, None)
    assert query.clip == pytest.approx(math.hypot(1, 0.1))  # √k(x, x) = 1, and the weight of the count


def test_releases_over_all_records_cost_as_one_with_less_noise(spec):
    """25 Gaussian releases of multiplier 5σ are one of σ, which is 3.7306 at ε = 1, δ = 1e-5 (analytic Gaussian)."""
    (query,) = calibrate(plan_of(_method(spec, releases=25), REQUEST), Budget(1.0, 1e-5)).mechanisms
    assert query.noise_multiplier == pytest.approx(5 * 3.7306, rel=5e-3)


def test_paper_preset_has_the_published_kernels():
    """σ = 1, 2, 4, 8, 16 for pixels in [-1, 1], where squared distances are four times as large; 32 · 32 pixels."""
    (configured,) = configure(["dp-kernel"], "mnist", "paper", {})
    config = configured.config
    sigmas = [(4 * b * 32 * 32) ** 0.5 for b in config.bandwidths]
    assert sigmas == pytest.approx([1, 2, 4, 8, 16])
    assert (config.batch, config.lr, config.steps) == (60, 5e-5, 200_000)


def test_more_releases_than_steps_are_refused():
    with pytest.raises(ConfigError, match="15 releases need as many steps, not 10"):
        build(DPKernel.Config, TINY | {"steps": 10})
    with pytest.raises(ConfigError, match="at least one kernel variance"):
        build(DPKernel.Config, TINY | {"bandwidths": ()})
    with pytest.raises(ConfigError, match="ridge"):
        build(DPKernel.Config, TINY | {"ridge": 0})


def test_a_release_outside_the_plan_is_refused(spec, vault, run):
    method = _method(spec, releases=2, steps=2)
    private = vault(plan_of(method, REQUEST), 5.0)
    method.fit(private, run)
    with pytest.raises(PrivacyError, match="spent"):
        noisy_sums(private, EMBEDDING, method.features(torch.rand(4, 1, 16, 16), 1), 0.1)


def test_samples_match_their_class_without_noise(spec, vault, run):
    method = _method(spec)
    private = vault(plan_of(method, REQUEST), float("inf"))
    method.fit(private, run)
    private.ledger.check_complete()
    images = method.sample(REQUEST.conditions, run)
    assert images.shape == (40, 1, 16, 16)
    assert share_horizontal(images[0::2]) > 0.8
    assert share_horizontal(images[1::2]) < 0.2
