import math

import pytest
import torch
from bar_orientation import share_horizontal
from planned import plan_of

from dpbench.core.config import build
from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Budget, Conditions, DatasetSpec, Request
from dpbench.methods.cores.central_images import CentralImages
from dpbench.methods.cores.class_sums import in_class_row
from dpbench.methods.dp_feta import CENTRAL, DPFETA
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.noise import Draws
from dpbench.training.public import to_unit

TINY = {
    "channels": (16,), "patch": 4, "warmup_steps": 60, "warmup_batch": 16, "warmup_lr": 3e-3, "batch": 64, "steps": 40,
    "lr": 1e-2, "clip": 0.3, "p_mean": 0.0, "micro_batch": 128, "sampling_steps": 8,
}  # fmt: skip
REQUEST = Request(Conditions.balanced(128, 2))


def _method(spec: DatasetSpec, **settings: object) -> DPFETA:
    return DPFETA(build(DPFETA.Config, TINY | settings), spec)


def test_plan_has_central_images_with_fixed_noise_and_dp_sgd(spec):
    central, training = plan_of(_method(spec), REQUEST).mechanisms
    assert (central.name, central.sampling_rate, central.releases, central.noise_multiplier) == (CENTRAL, 0.1, 5, 5.0)
    assert (training.sampling_rate, training.releases, training.noise_multiplier) == (64 / 400, 40, None)
    plan = calibrate(plan_of(_method(spec), REQUEST), Budget(1, 1e-5))
    assert plan[CENTRAL].noise_multiplier == 5
    assert 0.995 <= plan.epsilon <= 1


def test_central_images_above_the_budget_raise_an_error(spec):
    with pytest.raises(PrivacyError, match="fixed noise alone"):
        calibrate(plan_of(_method(spec, central_noise=0.5), REQUEST), Budget(1, 1e-5))


def test_clip_is_the_largest_image_norm(spec):
    method = _method(spec)
    clip = plan_of(method, REQUEST).mechanisms[0].clip
    images = torch.full((3, *spec.shape), 255, dtype=torch.uint8)
    images[0], images[1, :, ::2] = 0, 0
    contribution = in_class_row(to_unit(images), torch.tensor([0, 1, 1]), 2).to_dense()
    assert clip == math.sqrt(16 * 16)
    assert torch.allclose(contribution.flatten(1).norm(dim=1), torch.full((3,), clip))
    assert torch.equal(contribution[0, 0], to_unit(images[0]))
    assert not contribution[0, 1].any()
    assert not contribution[1:, 0].any()


def test_central_image_equals_class_mean_for_balanced_classes(spec, sensitive, vault):
    method = _method(spec, central_rate=1.0, central_images=1)
    images = CentralImages.release(vault(plan_of(method, REQUEST), float("inf")), CENTRAL).images
    batch = sensitive.batch(range(400))
    means = torch.stack([to_unit(batch.images[batch.labels == k]).mean(0) for k in (0, 1)])
    assert torch.allclose(images, means, atol=1e-4)  # each class has exactly the expected 200 records


def test_sums_are_divided_by_the_expected_count(spec, sensitive, vault, monkeypatch):
    """The released sum is divided by rate · n / classes for any Poisson sample."""
    method = _method(spec, central_images=2)
    private = vault(plan_of(method, REQUEST), float("inf"))
    monkeypatch.setattr(Draws, "poisson_sample", lambda self, n, rate: list(range(10)))
    images = CentralImages.release(private, CENTRAL, rate=0.1).images
    batch = sensitive.batch(range(10))
    expected = torch.stack([to_unit(batch.images[batch.labels == k]).sum(0) for k in (0, 1)]) / (0.1 * 400 / 2)
    assert torch.allclose(images, expected.clamp(-1, 1), atol=1e-5)


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
    monkeypatch.setattr("dpbench.methods.cores.diffusion.DiffusionMethod.fit", lambda *_: None)
    method.fit(vault(plan_of(method, REQUEST), float("inf")), run)
    horizontal, vertical = (method.sample(Conditions(64, (k,) * 64), run).float().mean(0)[0] for k in (0, 1))
    assert horizontal.mean(1).var() > horizontal.mean(0).var()
    assert vertical.mean(0).var() > vertical.mean(1).var()
