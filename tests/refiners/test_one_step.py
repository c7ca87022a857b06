"""The one-step refiner: an image and its edges from noise in one evaluation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import torch
from two_patterns import prepared, run_in, shrunk, truth

from dpbench.core.config import build
from dpbench.refiners.networks.network_inputs import upsampled
from dpbench.refiners.networks.two_task_unet import Modulation, TaskAttention, sobel
from dpbench.refiners.one_step import OneStep

SMALL = {"channels": (16, 16), "steps": 150, "lr": 5e-3, "augmentation": "none"}
BRIEF = SMALL | {"channels": (8, 8), "steps": 2}


def test_image_and_edges_are_learnt(tmp_path):
    refiner, images = prepared(OneStep, tmp_path, SMALL), truth()
    base = upsampled(shrunk(images), 4)
    drawn = refiner.refine(shrunk(images), 16, run_in(tmp_path))
    assert (drawn - images).abs().mean() < 0.9 * (base - images).abs().mean()
    _, edges = refiner._network(torch.randn(images.shape), base)
    assert (edges - sobel(images)).abs().mean() < 0.9 * (sobel(images).median() - sobel(images)).abs().mean()


def test_an_image_takes_one_evaluation(tmp_path):
    refiner, calls = prepared(OneStep, tmp_path, BRIEF), []
    refiner._network.register_forward_hook(lambda *call: calls.append(call))
    refiner.refine(shrunk(truth(5)), 16, run_in(tmp_path))
    assert len(calls) == 1


def test_the_coarse_image_is_injected_from_nothing():
    """Before training, the features are those of the noise alone, and the image is the coarse one plus them."""
    network = OneStep(build(OneStep.Config, BRIEF)).network(1, 4)
    noise = torch.randn(1, 1, 16, 16)
    results = [network(noise, base) for base in (torch.zeros(1, 1, 16, 16), torch.rand(1, 1, 16, 16))]
    assert torch.equal(results[0][1], results[1][1])
    assert [injection.zero.weight.abs().sum() for injection in network.injections] == [0, 0]


def test_modulation_scales_and_shifts_each_task_by_its_own_image():
    modulation, x = Modulation(1, 8), torch.randn(4, 8, 4, 4)
    conditioning = torch.randn(2, 1, 4, 4)
    assert torch.equal(modulation(x, conditioning), x)
    torch.nn.init.normal_(modulation.zero.weight)
    scale, shift = modulation.zero(modulation.features(conditioning)).chunk(2, dim=1)
    for task in (slice(0, 2), slice(2, 4)):
        assert torch.allclose(modulation(x, conditioning)[task], x[task] * (1 + scale) + shift, atol=1e-5)


def test_tasks_attend_to_each_other_and_to_no_other_image():
    attention, x = TaskAttention(8), torch.randn(4, 8, 3, 3)  # images 0 and 1 of the first task, then of the second
    changed = x.clone()
    changed[2] += torch.randn(8, 3, 3)
    moved = (attention(changed) - attention(x)).abs().amax((1, 2, 3)) > 1e-6
    assert moved.tolist() == [True, False, True, False]


def test_edges_are_those_of_scipy():
    images = torch.rand(2, 3, 9, 7) * 2 - 1
    planes = images.flatten(0, 1).numpy()
    slopes = [[scipy.ndimage.sobel(plane, axis, mode="nearest") for plane in planes] for axis in (0, 1)]
    magnitude = torch.tensor(np.linalg.norm(slopes, axis=0)).reshape(images.shape)
    assert torch.allclose(sobel(images), magnitude / magnitude.amax((1, 2, 3), keepdim=True), atol=1e-5)
    assert sobel(torch.ones(1, 1, 4, 4)).abs().max() == 0


@pytest.mark.parametrize("size", [12, 20])
def test_indivisible_sizes_are_padded(tmp_path, size):
    refiner = prepared(OneStep, tmp_path, BRIEF, size=20)
    images = refiner.refine(torch.zeros(2, 1, size // 4, size // 4), size, run_in(tmp_path))
    assert images.shape == (2, 1, size, size)
