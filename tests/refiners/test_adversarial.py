"""The adversarial refiner: a critic learns to tell drawn images from real ones, the super-resolver to deceive it."""

from __future__ import annotations

import pytest
import torch
from two_patterns import prepared, run_in, shrunk, truth

from dpbench.core.config import build
from dpbench.refiners.adversarial import Adversarial
from dpbench.refiners.networks.adversarial_net import AdversarialNet
from dpbench.refiners.networks.network_inputs import upsampled
from dpbench.refiners.networks.sub_pixel import SubPixelNet

SMALL = {"width": 16, "depth": 1, "steps": 60, "batch": 32, "critic_width": 16, "augmentation": "none"}


@pytest.fixture
def network() -> AdversarialNet:
    """An untrained one; in eval mode, in which spectral normalisation does not change."""
    return Adversarial(build(Adversarial.Config, SMALL)).network(1, 4).eval()


def gradients(network: AdversarialNet, weight: float) -> dict[str, torch.Tensor]:
    network.weight = weight
    network.zero_grad()
    network.loss(truth(8), shrunk(truth(8)), torch.Generator()).backward()
    return {name: p.grad.clone() for name, p in network.named_parameters()}


def test_the_critic_tells_drawn_from_real(tmp_path):
    refiner, images = prepared(Adversarial, tmp_path, SMALL | {"weight": 0.0}), truth()
    base = upsampled(shrunk(images), 4)
    drawn = refiner.refine(shrunk(images), 16, run_in(tmp_path))
    scores = [refiner._network.critic(x, base).mean() for x in (images, drawn)]
    assert scores[0] > scores[1] + 0.1


def test_without_weight_the_super_resolver_follows_the_l1_loss(network):
    found = gradients(network, weight=0.0)
    resolver = {name: p for name, p in network.named_parameters() if not name.startswith("critic.")}
    loss = SubPixelNet.loss(network, truth(8), shrunk(truth(8)), torch.Generator())
    for name, expected in zip(resolver, torch.autograd.grad(loss, list(resolver.values())), strict=True):
        assert torch.allclose(found[name], expected), name


def test_the_adversarial_loss_moves_the_super_resolver_towards_high_scores_and_not_the_critic(network):
    without, with_loss = gradients(network, weight=0.0), gradients(network, weight=1.0)

    def score() -> torch.Tensor:
        return network.critic(network(shrunk(truth(8))), upsampled(shrunk(truth(8)), 4)).mean()

    before = score()
    with torch.no_grad():
        for name, p in network.named_parameters():
            adversarial = with_loss[name] - without[name]
            assert torch.allclose(adversarial, torch.zeros_like(p), atol=1e-6) == name.startswith("critic."), name
            if not name.startswith("critic."):
                p -= 0.01 * adversarial
    assert score() > before
