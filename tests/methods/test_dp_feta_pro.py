import math

import pytest
import torch
from bar_orientation import share_horizontal
from planned import plan_of

from dpbench.benchmark.configure import configure
from dpbench.core.config import build
from dpbench.core.errors import ConfigError
from dpbench.core.specs import Budget, Conditions, DatasetSpec, Request
from dpbench.methods.cores.diffusion.diffusion_method import TRAINING
from dpbench.methods.cores.matching.matching_settings import EMBEDDING
from dpbench.methods.cores.warm_up.warm_up_settings import CENTRAL
from dpbench.methods.dp_feta_pro import DPFETAPro
from dpbench.privacy.accounting.composition import epsilon_pld
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.plan import Plan

TINY = {
    "channels": (16,), "patch": 4, "warmup_steps": 40, "warmup_batch": 16, "warmup_lr": 3e-3, "augmentation": "none",
    "features": 400, "generator_steps": 100, "generator_batch": 40, "generated_images": 200, "generated_steps": 60,
    "generated_batch": 16, "generated_lr": 3e-3, "batch": 64, "steps": 10, "lr": 3e-3, "clip": 0.3, "p_mean": 0.0,
    "micro_batch": 128, "sampling_steps": 8,
}  # fmt: skip
REQUEST = Request(Conditions.balanced(128, 2))
MNIST = DatasetSpec("mnist", 1, 32, 60_000, 10_000, tuple("0123456789"), True)


def _method(spec: DatasetSpec, **settings: object) -> DPFETAPro:
    return DPFETAPro(build(DPFETAPro.Config, TINY | settings), spec)


def _published(**settings: object) -> Plan:
    (configured,) = configure(["dp-feta-pro"], "mnist", "paper", settings)
    return DPFETAPro.plan(configured.config, MNIST, REQUEST)


def test_plan_has_two_queries_with_fixed_noise_and_dp_sgd(spec):
    central, embedding, training = plan_of(_method(spec), REQUEST).mechanisms
    assert (central.name, central.sampling_rate, central.releases, central.noise_multiplier) == (CENTRAL, 0.1, 5, 5.0)
    assert (embedding.name, embedding.sampling_rate, embedding.releases) == (EMBEDDING, 1, 1)
    assert embedding.noise_multiplier == 7.4
    assert embedding.clip == math.hypot(1, 0.1)  # features of norm 1, and the weight of the count
    assert (training.sampling_rate, training.releases, training.noise_multiplier) == (64 / 400, 10, None)


@pytest.mark.parametrize(("noise", "epsilon"), [((20.0, 26.6), 0.142), ((5.0, 7.4), 0.573)])
def test_published_queries_cost_a_small_part_of_the_budget(noise, epsilon):
    """Noise for ε = 1 and 10 on 55,000 images of MNIST: the cost of both queries alone at δ = 1/(n ln n)."""
    settings = dict(zip(("central_noise", "frequency_noise"), noise, strict=True))
    central, embedding, _ = _published(**settings, central_rate=6000 / 55_000).mechanisms
    spent = epsilon_pld(Plan(central, embedding).events(), 1 / (55_000 * math.log(55_000)))
    assert spent == pytest.approx(epsilon, abs=0.001)


def test_paper_preset_has_the_published_constants():
    """ε = 10; images of 16 of 32 pixels in [0, 1] have norm 16 at most. 150 epochs of 4,096 of 60,000 records."""
    central, embedding, training = _published().mechanisms
    assert (central.sampling_rate, central.releases, central.clip, central.noise_multiplier) == (0.1, 5, 16.0, 5.0)
    assert (embedding.sampling_rate, embedding.releases, embedding.noise_multiplier) == (1, 1, 7.4)
    assert (training.sampling_rate, training.releases, training.clip) == (4096 / 60_000, 2197, 1e-3)


def test_paper_preset_is_calibrated_as_a_whole():
    plan = calibrate(_published(), Budget(1, 1e-6))
    assert 0.995 <= plan.epsilon <= 1
    assert (plan[CENTRAL].noise_multiplier, plan[EMBEDDING].noise_multiplier) == (5, 7.4)
    alone = calibrate(Plan(_published().mechanisms[2]), Budget(1, 1e-6))
    assert plan["training"].noise_multiplier > alone["training"].noise_multiplier


def test_resolution_must_suit_the_generator():
    with pytest.raises(ConfigError, match="multiple of 4"):
        plan_of(_method(DatasetSpec("odd", 1, 18, 400, 0, None, True), patch=2, reduction=2), REQUEST)


def test_phases_run_in_the_published_order_and_learn_the_classes(spec, vault, run, monkeypatch):
    """Central images, generated images, then DP-SGD, each on labelled images of the classes; no noise."""
    method = _method(spec)
    private = vault(plan_of(method, REQUEST), float("inf"))
    seen = []
    publicly, privately = method.model.train_publicly, method.model.train_privately

    def train_publicly(draw, batch, *rest):
        assert private.ledger.spent[TRAINING] == 0
        images, labels = draw(100)
        pixels = ((images + 1) * 127.5).to(torch.uint8)
        seen.append([share_horizontal(pixels[labels == k]) for k in (0, 1)])
        publicly(draw, batch, *rest)

    def train_privately(*arguments):
        seen.append("private")
        privately(*arguments)

    monkeypatch.setattr(method.model, "train_publicly", train_publicly)
    monkeypatch.setattr(method.model, "train_privately", train_privately)
    method.fit(private, run)
    private.ledger.check_complete()
    central, generated, last = seen
    assert last == "private"
    assert central[0] == 1
    assert central[1] == 0
    assert generated[0] > 0.7
    assert generated[1] < 0.3
    images = method.sample(REQUEST.conditions, run)
    assert images.shape == (128, 1, 16, 16)
    assert share_horizontal(images[0::2]) > 0.65
    assert share_horizontal(images[1::2]) < 0.35


def test_generated_images_are_balanced_and_in_range(spec, vault, run):
    method = _method(spec, generator_steps=1, generated_images=50)
    released = method.generated_images(vault(plan_of(method, REQUEST), 5), run)
    assert released.images.shape == (50, 1, 16, 16)
    assert released.images.min() >= -1
    assert released.images.max() <= 1
    assert released.labels.bincount().tolist() == [25, 25]
