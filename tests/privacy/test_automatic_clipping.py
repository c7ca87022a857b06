"""Automatic clipping: clip · g / (‖g‖ + γ), with the sensitivity and the noise of flat clipping."""

from __future__ import annotations

import math

import pytest
import torch
from stepping import WIDE, linear, move, nothing, squares, start
from torch import Tensor
from vaults import SIGMAS, Images, Untouchable, pixels, steps, vault

from dpbench.core.config import build
from dpbench.core.errors import ConfigError, UnknownName
from dpbench.core.specs import Batch
from dpbench.privacy.clipping import CLIPPINGS, HEAVIEST, LARGEST, clip_weights
from dpbench.privacy.dp_sgd_settings import DPSGDSettings
from dpbench.privacy.gradients.engines import ENGINES

GAMMA = 0.01


def weights(norms: Tensor, clip: float) -> Tensor:
    return clip_weights(norms.double().square(), torch.ones(len(norms)).bool(), clip, GAMMA)[0]


def automatic_sum(images: Tensor, clip: float) -> Tensor:
    """Σ clip · g / (‖g‖ + γ), by one backward pass per record."""
    model, total = linear(), torch.zeros(())
    for image in images:
        loss = squares(model, Batch(image[None]), torch.Generator()).sum()
        gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])
        total = total + gradient * clip / (gradient.norm() + GAMMA)
    return total


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("views", [1, 3])
def test_a_step_is_the_sum_of_nearly_normalised_gradients(engine, views):
    images = pixels(6)
    images[0] //= 100  # a gradient shorter than the clip, which flat clipping would leave as it is
    for clip in (0.1, 20.0):
        found = move(images, steps(6, clip=clip), engine=engine, views=views, clipping="automatic")
        expected = automatic_sum(images, clip)
        assert (found - expected).norm() < 1e-4 * expected.norm()


def test_the_paper_s_constant():
    assert CLIPPINGS == {"flat": None, "automatic": GAMMA}


@pytest.mark.parametrize("clip", [1e-12, 1e-3, 1.0, 1e6])
def test_no_weight_lifts_a_norm_above_the_clip(clip):
    norms = torch.logspace(-12, 25, 2001).double()
    found = weights(norms, clip).double()
    assert (found * norms <= clip * (1 + 1e-7)).all()
    short = norms <= 1e4 * GAMMA
    torch.testing.assert_close((found * norms)[short], (clip * norms / (norms + GAMMA))[short], rtol=1e-6, atol=0)


def test_weights_of_gradients_that_fp32_cannot_scale():
    found = weights(torch.tensor([math.nan, math.inf, 2 * LARGEST, 0.0]), 1.0)
    assert found.tolist() == [0, 0, 0, pytest.approx(1 / GAMMA)]
    assert weights(torch.zeros(1), 1e30) == torch.tensor(HEAVIEST)
    assert weights(torch.tensor([0.0, 3.0, 1e29]), math.inf).tolist() == [1, 1, 1]  # nothing to normalise to


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [0.0, 1e-12, 1.0, 1e6, 1e15, math.inf, math.nan])
def test_no_record_adds_more_than_the_clip(engine, size):
    images = pixels(5)
    images[:, 0, 0, 0] = 0
    images[2, 0, 0, 0] = 255  # marks the adversary

    def loss(model, batch, generator):
        return squares(model, batch, generator) * torch.where(batch.images[:, 0, 0, 0] == 255, size, 1.0)

    others = images[[0, 1, 3, 4]]
    options = {"engine": engine, "clipping": "automatic"}
    added = move(images, steps(5, clip=0.5), loss, **options) - move(others, steps(4, clip=0.5), loss, **options)
    assert added.norm() <= 0.5 * (1 + 1e-4)
    assert (added.norm() > 0.49) == (1.0 <= size <= 1e15)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_noise_is_that_of_flat_clipping(engine):
    mechanism = steps(3, noise_multiplier=3.0, clip=0.5)
    noise = move(pixels(3), mechanism, nothing, linear(WIDE), engine=engine, clipping="automatic")
    assert abs(noise.std() / 1.5 - 1) < SIGMAS * (0.5 / len(noise)) ** 0.5 + 1e-4


def test_an_unknown_kind_is_answered_with_the_known_before_a_record_is_read():
    private = vault(Untouchable(pixels(5)), steps(5))
    with pytest.raises(UnknownName, match="unknown clipping 'automatik'; did you mean automatic"):
        start(private, linear(), clipping="automatik")
    assert private.ledger.spent == {"steps": 0}


def test_it_is_a_setting_and_part_of_what_a_checkpoint_belongs_to():
    private = vault(Images(pixels(5)), steps(5))
    keys = [start(private, linear(), clipping=kind).key for kind in CLIPPINGS]
    assert keys[0] != keys[1]
    assert DPSGDSettings().stepper_options()["clipping"] == "flat"
    assert build(DPSGDSettings, {"clipping": "automatic"}).stepper_options()["clipping"] == "automatic"
    with pytest.raises(ConfigError, match="clipping"):
        build(DPSGDSettings, {"clipping": "none"})
