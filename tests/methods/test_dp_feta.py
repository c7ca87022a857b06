from dataclasses import replace

import pytest
import torch
from bar_orientation import share_horizontal
from planned import plan_of
from torch import Tensor

from dpbench.benchmark.configure import configure
from dpbench.core.config import build
from dpbench.core.errors import ConfigError, PrivacyError
from dpbench.core.specs import Batch, Budget, Conditions, DatasetSpec, Request
from dpbench.methods.cores.warm_up.central_images import central_images
from dpbench.methods.cores.warm_up.warm_up import restored
from dpbench.methods.cores.warm_up.warm_up_settings import CENTRAL
from dpbench.methods.dp_feta import DPFETA
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.noise import Draws

TINY = {
    "channels": (16,), "patch": 4, "warmup_steps": 60, "warmup_batch": 16, "warmup_lr": 3e-3, "augmentation": "none",
    "batch": 64, "steps": 40, "lr": 1e-2, "clip": 0.3, "p_mean": 0.0, "micro_batch": 128, "sampling_steps": 8,
}  # fmt: skip
REQUEST = Request(Conditions.balanced(128, 2))
MNIST = DatasetSpec("mnist", 1, 32, 60_000, 10_000, tuple("0123456789"), True)


def _method(spec: DatasetSpec, **settings: object) -> DPFETA:
    return DPFETA(build(DPFETA.Config, TINY | settings), spec)


def _images(batch: Batch) -> Tensor:
    return batch.images.float() / 255


def test_plan_has_central_images_with_fixed_noise_and_dp_sgd(spec):
    central, training = plan_of(_method(spec), REQUEST).mechanisms
    assert (central.name, central.sampling_rate, central.releases, central.noise_multiplier) == (CENTRAL, 0.1, 5, 5.0)
    assert (training.sampling_rate, training.releases, training.noise_multiplier) == (64 / 400, 40, None)
    plan = calibrate(plan_of(_method(spec), REQUEST), Budget(1, 1e-5))
    assert plan[CENTRAL].noise_multiplier == 5
    assert 0.995 <= plan.epsilon <= 1


def test_paper_preset_has_the_published_central_images():
    """Half of 32 pixels: images in [0, 1] of norm 16 at most. 5 releases at rate 6,000 of 60,000, noise 5 · 16."""
    (configured,) = configure(["dp-feta"], "mnist", "paper", {})
    central, training = DPFETA.plan(configured.config, MNIST, REQUEST).mechanisms
    assert (central.sampling_rate, central.releases, central.clip, central.noise_multiplier) == (0.1, 5, 16.0, 5.0)
    assert (training.sampling_rate, training.releases) == (4096 / 60_000, 4395)


def test_central_images_above_the_budget_raise_an_error(spec):
    with pytest.raises(PrivacyError, match="fixed noise alone"):
        calibrate(plan_of(_method(spec, central_noise=0.5), REQUEST), Budget(1, 1e-5))


@pytest.mark.parametrize(("reduction", "largest"), [(1, 16), (2, 8), (4, 4)])
def test_clip_follows_the_reduced_size(spec, reduction, largest):
    """A white image of 16 pixels has norm 16 in [0, 1], and half of it at half resolution."""
    whole, half = (
        plan_of(_method(spec, reduction=reduction, central_clip=share), REQUEST).mechanisms[0].clip
        for share in (1.0, 0.5)
    )
    white = torch.nn.functional.avg_pool2d(torch.ones(1, *spec.shape), reduction)
    assert whole == largest == white.norm()
    assert half == largest / 2


def test_clip_of_colour_images_is_the_norm_of_a_white_one(spec):
    colour = _method(replace(spec, channels=3), reduction=2, central_clip=1.0)
    assert plan_of(colour, REQUEST).mechanisms[0].clip == pytest.approx(torch.ones(3, 8, 8).norm().item())


def test_reduction_must_divide_the_resolution(spec):
    with pytest.raises(ConfigError, match="reduction 3 does not divide 16 pixels"):
        plan_of(_method(spec, reduction=3), REQUEST)


def test_noiseless_central_image_is_the_reduced_class_mean(spec, sensitive, vault):
    method = _method(spec, central_rate=1.0, central_images=1, central_clip=1.0)
    private = vault(plan_of(method, REQUEST), float("inf"))
    released = central_images(
        private, CENTRAL, lambda batch: _images(batch).unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
    )
    batch = sensitive.batch(range(400))
    means = torch.stack([_images(batch)[batch.labels == k].mean(0) for k in (0, 1)])
    reduced = means[..., ::2, ::2] + means[..., 1::2, ::2] + means[..., ::2, 1::2] + means[..., 1::2, 1::2]
    assert torch.allclose(
        released.images, reduced / 2 - 1, atol=1e-4
    )  # each class has exactly the expected 200 records
    assert released.labels.tolist() == [0, 1]


def test_sums_are_divided_by_the_expected_count(spec, sensitive, vault, monkeypatch):
    """The released sum is divided by rate · n / classes for any Poisson sample, not by the number drawn."""
    method = _method(spec, central_images=2, reduction=1, central_clip=1.0)
    private = vault(plan_of(method, REQUEST), float("inf"))
    monkeypatch.setattr(Draws, "poisson_sample", lambda self, n, rate: list(range(10)))
    released = central_images(private, CENTRAL, _images)
    batch = sensitive.batch(range(10))
    expected = torch.stack([_images(batch)[batch.labels == k].sum(0) for k in (0, 1)]) / (0.1 * 400 / 2)
    assert torch.allclose(released.images, (expected * 2 - 1).repeat(2, 1, 1, 1), atol=1e-5)
    assert released.labels.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("channels", [1, 3])
def test_restored_images_are_free_of_single_bright_pixels(channels):
    images = torch.full((2, channels, 8, 8), -0.5)
    assert torch.allclose(restored(images, 2), torch.full((2, channels, 16, 16), -0.5), atol=1e-6)
    speck = images.clone()
    speck[0, 0, 3, 3] = 1
    assert torch.allclose(restored(speck, 1), images, atol=1e-6)


def test_grey_images_are_sharpened(spec):
    edge = torch.full((1, 3, 16, 16), -0.5)
    edge[..., 8:] = 0.5
    assert torch.equal(restored(edge, 1), edge)
    assert restored(edge[:, :1], 1)[0, 0, 5, 6:10].tolist() == pytest.approx([-0.5, -1.0, 1.0, 0.5])


def test_samples_match_their_class_without_noise(spec, vault, run):
    method = _method(spec)
    private = vault(plan_of(method, REQUEST), float("inf"))
    method.fit(private, run)
    private.ledger.check_complete()
    images = method.sample(REQUEST.conditions, run)
    assert images.shape == (128, 1, 16, 16)
    assert share_horizontal(images[0::2]) > 0.65
    assert share_horizontal(images[1::2]) < 0.35


def test_warm_up_without_dp_sgd_learns_the_classes(spec, vault, run, monkeypatch):
    method = _method(spec, augmentation="flip")
    monkeypatch.setattr("dpbench.methods.cores.diffusion.diffusion_method.DiffusionMethod.fit", lambda *_: None)
    method.fit(vault(plan_of(method, REQUEST), float("inf")), run)
    horizontal, vertical = (method.sample(Conditions(64, (k,) * 64), run).float().mean(0)[0] for k in (0, 1))
    assert horizontal.mean(1).var() > horizontal.mean(0).var()
    assert vertical.mean(0).var() > vertical.mean(1).var()
