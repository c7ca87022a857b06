"""The presets that every registered method has. Their plans are calibrated in test_second_accountant.py."""

from __future__ import annotations

import pytest
from preset_plans import MNIST, dataset_of, preset_plan

from dpbench.benchmark.reporting.tiers import Tier, tiers
from dpbench.core.registries import METHODS
from dpbench.methods.cores.diffusion.diffusion_settings import ONE_GPU

TIERS = ("small", "gpu", "paper")

methods = pytest.mark.parametrize("method", METHODS.names())


@methods
def test_every_method_has_three_presets_and_refines_small_for_mnist_and_shapes(method: str) -> None:
    presets = METHODS.get(method).presets
    assert [name for name in presets if "/" not in name] == list(TIERS)
    assert "small/mnist" in presets
    assert "small/shapes" in presets
    assert [name for name in presets if name.partition("/")[0] not in TIERS] == []


@methods
def test_every_preset_has_a_plan(method: str) -> None:
    """For MNIST, and for the dataset of the published constants."""
    small, gpu, _ = tiers(method, "mnist", MNIST)
    paper = published(method)
    assert [tier.preset.partition("/")[0] for tier in (small, gpu, paper)] == list(TIERS)
    assert [tier.misfit for tier in (small, gpu, paper)] == ["", "", ""]
    assert all(tier.plan.mechanisms for tier in (small, gpu, paper))


@methods
def test_small_presets_do_not_exceed_the_published_compute(method: str) -> None:
    small, *_ = tiers(method, "mnist", MNIST)
    assert small.gradients <= published(method).gradients


def published(method: str) -> Tier:
    """The preset `paper` on the dataset that it is for."""
    spec = dataset_of(method, "paper")
    return tiers(method, spec.name, spec)[-1]


def test_a_gpu_preset_is_planned_for_its_own_steps() -> None:
    (training,) = preset_plan("dpdm", "gpu").mechanisms
    assert training.releases == ONE_GPU["steps"]
    assert training.sampling_rate == ONE_GPU["batch"] / dataset_of("dpdm", "gpu").n_train
