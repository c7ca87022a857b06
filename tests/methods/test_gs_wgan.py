import math
from copy import deepcopy

import pytest
import torch
from bar_orientation import share_horizontal
from planned import plan_of
from torch import Tensor, nn

from dpbench.contracts.small_sets import bars
from dpbench.core.config import build
from dpbench.core.errors import ConfigError
from dpbench.core.specs import Batch, Budget, Conditions, DatasetSpec, Request
from dpbench.methods.cores.adversarial.wasserstein_critics import WassersteinCritic, _partners
from dpbench.methods.gs_wgan import GRADIENTS, GSWGAN
from dpbench.privacy.calibration import calibrate

TINY = {
    "generator_channels": (16,), "discriminator_channels": (16,), "embedding": 8, "shards": 2, "steps": 300,
    "generator_batch": 32, "trained": 2, "critic_steps": 1, "generator_lr": 5e-3, "ema": 0.9,
}  # fmt: skip
REQUEST = Request(Conditions.balanced(128, 2))
MNIST = DatasetSpec("mnist", 1, 32, 60_000, 10_000, tuple("0123456789"), True)


def _method(spec: DatasetSpec, **settings: object) -> GSWGAN:
    return GSWGAN(build(GSWGAN.Config, TINY | settings), spec)


def test_plan_is_one_mechanism(spec):
    (mechanism,) = plan_of(_method(spec), REQUEST).mechanisms
    assert mechanism.name == GRADIENTS
    assert (mechanism.sampling_rate, mechanism.releases, mechanism.samples) == (1 / 2, 300, 32)
    assert mechanism.sensitivity == pytest.approx(2 * 0.1 * math.sqrt(32))


def test_published_plan_needs_more_noise_than_published():
    """1000 shards, 20,000 steps, 32 images, clip 1. The published multiplier per image at ε = 10 is 1.07."""
    config = build(GSWGAN.Config, GSWGAN.presets["paper"].settings)
    plan = calibrate(GSWGAN.plan(config, MNIST, REQUEST), Budget(10, 1e-5))
    mechanism = plan[GRADIENTS]
    assert (mechanism.shards, mechanism.releases, mechanism.samples, mechanism.clip) == (1000, 20_000, 32, 1.0)
    assert (config.critic_warmup, config.critic_steps, config.code, config.latent) == (2000, 5, 10, "bits")
    assert mechanism.noise_multiplier * math.sqrt(32) > 2.3


def test_samples_match_their_class_without_noise(spec, vault, run):
    method = _method(spec)
    private = vault(plan_of(method, REQUEST), float("inf"))
    method.fit(private, run)
    private.ledger.check_complete()
    images = method.sample(REQUEST.conditions, run)
    assert images.shape == (128, 1, 16, 16)
    assert share_horizontal(images[0::2]) > 0.9
    assert share_horizontal(images[1::2]) < 0.1


def test_restored_model_samples_the_same_images(spec, vault, run):
    method, other = _method(spec, steps=2, critic_warmup=2), _method(spec)
    method.fit(vault(plan_of(method, REQUEST), 5), run)
    other.load_state_dict(method.state_dict())
    run.generator.manual_seed(3)
    images = method.sample(REQUEST.conditions, run)
    run.generator.manual_seed(3)
    assert torch.equal(images, other.sample(REQUEST.conditions, run))


def test_more_shards_than_records_are_not_planned(spec):
    method = _method(spec, shards=spec.n_train)
    plan_of(method, REQUEST)
    with pytest.raises(ConfigError, match=f"{spec.n_train} records make no {spec.n_train + 1} shards"):
        plan_of(_method(spec, shards=spec.n_train + 1), REQUEST)


def test_critics_of_both_kinds_take_part_in_a_run(spec, vault, run):
    for critic in ("mlp", "residual"):
        method = _method(spec, critic=critic, steps=2, critic_warmup=2)
        private = vault(plan_of(method, REQUEST), 5)
        method.fit(private, run)
        private.ledger.check_complete()


class Brightness(nn.Module):
    """Scores an image by its weighted brightness, whose gradient has the norm `weight` · 16."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        return self.weight * images.sum((1, 2, 3))


def _critic(method: GSWGAN) -> WassersteinCritic:
    return WassersteinCritic(method.config, method.model, "cpu")


def _white(size: int) -> Batch:
    return Batch(torch.full((size, 1, 16, 16), 255, dtype=torch.uint8), torch.arange(size) % 2)


def test_critic_loss_is_that_of_wgan_gp(spec):
    critic, labels = _critic(_method(spec)), torch.tensor([0, 1])
    critic.network = Brightness()
    images, fakes = torch.ones(2, 1, 16, 16), torch.zeros(2, 1, 16, 16)
    loss = critic._loss(images, fakes, labels, torch.Generator().manual_seed(0))
    assert loss.item() == pytest.approx((0 - 128) + 1e-3 * 128**2 + 10 * (0.5 * 16 - 1) ** 2)


def test_critics_compare_images_of_the_same_class():
    labels, draws = torch.tensor([0, 1, 1, 2, 2, 2]), torch.Generator().manual_seed(0)
    wanted = torch.tensor([2, 1, 0, 2, 1]).repeat(100)
    partners = _partners(wanted, labels, draws)
    assert torch.equal(labels[partners], wanted)
    assert set(partners[wanted == 2].tolist()) == {3, 4, 5}
    assert set(_partners(torch.full((100,), 7), labels, draws).tolist()) == set(range(6))  # no image of this class


def test_the_norm_of_a_critic_s_gradient_stays_near_1_on_shards_of_one_class(spec):
    """At labels that its records do not have, nothing would bound it."""
    method, draws = _method(spec), torch.Generator().manual_seed(0)
    critic, labels = _critic(method), torch.arange(32) % 2
    records = bars(spec, 100, seed=3)
    for _ in range(200):
        images = method.model.fakes(method.model.generator, labels, draws)
        critic.train(lambda count: records.batch([2 * i for i in range(count)]), images, labels, draws)
    images.requires_grad_()
    (gradients,) = torch.autograd.grad(critic(images, labels).sum(), images)
    norms = gradients.flatten(1).norm(dim=1)
    assert 0.3 < norms[labels == 0].mean() < 3
    assert norms.max() < 5


def test_warming_a_critic_up_leaves_the_generator_alone(spec):
    method, draws = _method(spec, critic_warmup=3), torch.Generator().manual_seed(0)
    before = {name: value.clone() for name, value in method.model.state_dict().items()}
    critic = _critic(method)
    start = critic.network.end.weight.clone()
    critic.warm_up(_white, draws)
    assert not torch.equal(start, critic.network.end.weight)
    assert all(torch.equal(value, method.model.state_dict()[name]) for name, value in before.items())


def test_a_restored_critic_continues_as_before(spec):
    method, images, labels = _method(spec), torch.zeros(4, 1, 16, 16), torch.arange(4) % 2
    critic, other = _critic(method), _critic(method)
    critic.train(_white, images, labels, torch.Generator().manual_seed(0))
    other.load_state_dict(deepcopy(critic.state_dict()))
    for each in (critic, other):
        each.train(_white, images, labels, torch.Generator().manual_seed(1))
    assert torch.equal(critic(images, labels), other(images, labels))


def test_codes_are_bits(spec):
    assert set(_method(spec).model._codes(10, torch.Generator().manual_seed(0)).flatten().tolist()) == {0.0, 1.0}
