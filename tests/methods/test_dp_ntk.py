import math

import pytest
import torch
from bar_orientation import share_horizontal
from planned import plan_of

from dpbench.benchmark.configure import configure
from dpbench.core.config import build
from dpbench.core.errors import ConfigError, PrivacyError
from dpbench.core.specs import Conditions, DatasetSpec, Request
from dpbench.methods.cores.matching.matching_settings import EMBEDDING
from dpbench.methods.cores.matching.matching_steps import noisy_sums
from dpbench.methods.cores.matching.tangent_features import TangentFeatures
from dpbench.methods.dp_ntk import DPNTK

TINY = {"hidden": 30, "steps": 150, "batch": 40}
REQUEST = Request(Conditions.balanced(40, 2))
MNIST = DatasetSpec("mnist", 1, 32, 60_000, 10_000, tuple("0123456789"), True)


def _method(spec: DatasetSpec, **settings: object) -> DPNTK:
    return DPNTK(build(DPNTK.Config, TINY | settings), spec)


def _by_autograd(features: TangentFeatures, image: torch.Tensor) -> torch.Tensor:
    """The normalised gradient of the sum of outputs of the same network, by autograd, for one image."""
    first, norm = torch.nn.Linear(256, 30), torch.nn.LayerNorm(30, elementwise_affine=False)
    last = torch.nn.Linear(30, 10)
    first.weight.data, first.bias.data = features.first[:-1].T.clone(), features.first[-1].clone()
    last.weight.data = features.last.T.clone()
    last(norm(first(image.flatten()[None]).relu())).sum().backward()
    gradient = torch.cat([p.grad.flatten() for p in (*first.parameters(), *last.parameters())])
    return gradient / gradient.norm()


@pytest.fixture
def features() -> TangentFeatures:
    return TangentFeatures(256, 30, 10, seed=0, device="cpu")


def test_kernel_is_that_of_the_gradient_with_respect_to_all_weights(features):
    images = torch.rand(5, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    exact = torch.stack([_by_autograd(features, image) for image in images])
    assert torch.allclose(features(images) @ features(images).T, exact @ exact.T, atol=1e-4)


def test_features_have_norm_one_even_of_black_and_white_images(features):
    images = torch.stack([torch.zeros(1, 16, 16), torch.ones(1, 16, 16), torch.rand(1, 16, 16)])
    assert torch.allclose(features(images).norm(dim=1), torch.ones(3), atol=1e-5)
    assert features(images).shape == (3, 30 * 257 + 31)


def test_sums_equal_the_features_of_single_images_and_have_their_gradient(features):
    images = torch.rand(6, 1, 16, 16).requires_grad_()
    sums, pairs = features.sums(images, 2)
    single = features(images).unflatten(0, (2, 3))
    assert torch.allclose(sums, single.sum(1), atol=1e-5)
    kernel = single @ single.transpose(1, 2)
    assert torch.allclose(pairs, (kernel - torch.eye(3)).sum((1, 2)), atol=1e-3)
    direction = torch.randn_like(sums)
    gradients = [torch.autograd.grad((t * direction).sum(), images)[0] for t in (sums, single.sum(1))]
    assert torch.allclose(*gradients, atol=1e-4)


def test_features_are_public_and_depend_on_the_seed(spec):
    images = torch.rand(3, 1, 16, 16)
    first, again, other = (_method(spec, seed=seed).features(images, 1)(images) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-3)


def test_a_record_contributes_a_vector_as_long_as_the_clip(spec, sensitive):
    method = _method(spec)
    (mechanism,) = plan_of(method, REQUEST).mechanisms
    images = sensitive.batch(range(50)).images.float() / 255
    contributions = torch.cat([method.features(images, 1)(images), torch.full((50, 1), method.config.count_weight)], 1)
    assert torch.allclose(contributions.norm(dim=1), torch.full((50,), mechanism.clip), atol=1e-5)


def test_paper_preset_has_the_published_constants_and_one_release_over_all_records():
    """Width 800, 2,000 steps of 5,000 generated images. A release at rate 1 is accounted for as a plain Gaussian."""
    (configured,) = configure(["dp-ntk"], "mnist", "paper", {})
    config = configured.config
    assert (config.hidden, config.outputs, config.steps, config.batch, config.lr) == (800, 10, 2000, 5000, 0.01)
    (mechanism,) = DPNTK.plan(config, MNIST, REQUEST).mechanisms
    assert (mechanism.sampling_rate, mechanism.releases, mechanism.noise_multiplier) == (1, 1, None)
    assert mechanism.clip == pytest.approx(math.sqrt(1.01))


def test_noiseless_release_equals_class_mean_features(spec, sensitive, vault):
    method = _method(spec)
    features = method.features(torch.zeros(1, 1, 16, 16), 1)
    sums, counts = noisy_sums(vault(plan_of(method, REQUEST), float("inf")), EMBEDDING, features, 0.1)
    batch = sensitive.batch(range(400))
    embedded = features(batch.images.float() / 255)
    means = torch.stack([embedded[batch.labels == k].mean(0) for k in (0, 1)])
    assert torch.allclose(sums / counts, means, atol=1e-4)


def test_a_second_release_is_refused(spec, vault, run):
    method = _method(spec, steps=1)
    private = vault(plan_of(method, REQUEST), 5.0)
    method.fit(private, run)
    private.ledger.check_complete()
    with pytest.raises(PrivacyError, match="spent"):
        noisy_sums(private, EMBEDDING, method.features(torch.zeros(1, 1, 16, 16), 1), 0.1)


def test_resolution_must_suit_the_generator():
    with pytest.raises(ConfigError, match="multiple of 4"):
        DPNTK.plan(build(DPNTK.Config, TINY), DatasetSpec("odd", 1, 18, 400, 0, None, True), REQUEST)


def test_samples_match_their_class_without_noise(spec, vault, run):
    method = _method(spec)
    method.fit(vault(plan_of(method, REQUEST), float("inf")), run)
    images = method.sample(REQUEST.conditions, run)
    assert images.shape == (40, 1, 16, 16)
    assert share_horizontal(images[0::2]) > 0.8
    assert share_horizontal(images[1::2]) < 0.2
