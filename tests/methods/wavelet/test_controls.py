"""The controls coarse=real, tokens=all and refiner.name=bicubic, and the optional warm-up."""

import dataclasses

import pytest
import torch
from bar_orientation import share_horizontal
from captioned_bars import captioned_bars
from planned import plan_of
from test_wavelet import REQUEST, TINY, _fitted, _method
from tiny_upscalers import save_network

from dpbench.core.config import build
from dpbench.core.errors import ConfigError, DpbenchError
from dpbench.core.specs import Budget, Conditions
from dpbench.methods.cores.warm_up.warm_up_settings import CENTRAL
from dpbench.methods.wavelet import Wavelet
from dpbench.methods.wavelet.real_tokens import RealTokens
from dpbench.models.haar import coarse
from dpbench.models.image_range import to_unit, unit_images
from dpbench.models.pretrained.finding import sha256
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.mechanisms.mechanism import NoisySum
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.noise_key import NoiseKey
from dpbench.privacy.plan import Plan
from dpbench.privacy.vault import Vault
from dpbench.refiners.regression import Regression

WITHOUT_REFINER = {key: value for key, value in TINY.items() if not key.startswith("refiner.")}


def test_pretrained_refiner_is_named_where_it_is_used(spec, public, vault, run, tmp_path):
    weights = save_network(tmp_path / "a.safetensors")
    settings = WITHOUT_REFINER | {"steps": 2, "refiner.name": "pretrained", "refiner.weights": str(weights)}
    method = Wavelet(build(Wavelet.Config, settings), spec)
    method.prepare(public, run)
    method.prepare_sampling(public, run)
    method.fit(vault(plan_of(method, REQUEST), 5.0), run)
    assert Wavelet.track_of(method.config) == "foundation"
    assert Wavelet.weights_of(method.config) == {"a.safetensors": sha256(weights)[:12]}
    other = Wavelet(method.config, spec)
    other.load_state_dict(method.state_dict())
    run.generator.manual_seed(3)
    images = method.sample(Conditions(4, (0,) * 4), run)
    run.generator.manual_seed(3)
    assert torch.equal(images, other.sample(Conditions(4, (0,) * 4), run))
    for unused in (build(Wavelet.Config, settings | {"tokens": "all"}), _method(spec).config):
        assert (Wavelet.track_of(unused), Wavelet.weights_of(unused)) == ("images", {})


def test_real_tokens_match_classes_and_mark_accounting_unverified(spec, public, vault, run, sensitive):
    method = _method(spec, coarse="real")
    assert plan_of(method, REQUEST) == Plan()
    private = vault(plan_of(method, REQUEST), 1.0)
    method.prepare(public, run)
    method.prepare_sampling(public, run)
    method.fit(private, run)
    private.ledger.check_complete()
    assert private.ledger.accounting == "unverified"
    assert private.ledger.unverified == ["coarse=real puts the tokens of real images into the output"]
    assert private.ledger.epsilon_spent() == 0
    assert method.parameters()[0] == 0
    images = method.sample(REQUEST.conditions, run)
    assert share_horizontal(images[0::2]) > 0.9
    assert share_horizontal(images[1::2]) < 0.1
    real = {tuple(t.tolist()) for t in method.model.tokenizer.encode(unit_images(sensitive.batch(range(400))))}
    drawn = method.model.source.sample(torch.tensor(REQUEST.conditions.labels), REQUEST.conditions.count, run)
    assert {tuple(t.tolist()) for t in drawn} <= real


def test_the_row_says_that_prompts_do_not_choose_real_tokens():
    sensitive = captioned_bars("sensitive", 40)
    ledger = Ledger(calibrate(Plan(), Budget(1.0, 1e-5)))
    private = Vault(sensitive, sensitive.spec, ledger, NoiseSource(key=NoiseKey.from_seed(0)))
    RealTokens.of(private, lambda images: images.flatten(1)[:, :4].long())
    assert ledger.unverified == [
        "coarse=real puts the tokens of real images into the output, which prompts do not choose"
    ]


def test_restored_real_tokens_give_the_same_images(spec, public, vault, run):
    method = _fitted(spec, public, vault, run, coarse="real")
    other = _method(spec, coarse="real")
    other.load_state_dict(method.state_dict())
    run.generator.manual_seed(3)
    images = method.sample(REQUEST.conditions, run)
    run.generator.manual_seed(3)
    assert torch.equal(images, other.sample(REQUEST.conditions, run))


def test_public_part_is_the_same_for_both_coarse_sources(spec, public, run):
    images = []
    for source in ("real", "model"):
        method = _method(spec, coarse=source)
        run.generator.manual_seed(4)
        method.prepare(public, run)
        method.prepare_sampling(public, run)
        images.append(method.sample(Conditions(8, (0, 1) * 4), run))
    assert torch.equal(*images)


def test_real_tokens_need_a_public_benchmark(spec):
    with pytest.raises(ConfigError, match="public benchmarks only"):
        plan_of(_method(dataclasses.replace(spec, public_benchmark=False), coarse="real"), REQUEST)


def test_settings_of_the_refiner_must_fit_the_levels_unless_all_tokens_are_modelled(spec):
    settings = {"refiner.width": 10, "levels": 2}
    with pytest.raises(ConfigError, match="width = 10 must be a multiple of 4"):
        plan_of(_method(spec, **settings), REQUEST)
    assert plan_of(_method(spec, tokens="all", **settings), REQUEST).mechanisms


def test_class_without_records_raises_an_error(run):
    real = RealTokens(torch.zeros(3, 4, dtype=torch.long), torch.tensor([0, 0, 2]))
    with pytest.raises(DpbenchError, match="needs records of class 1"):
        real.sample(torch.tensor([0, 1]), 2, run)


@pytest.mark.parametrize("order", ["scale", "raster"])
def test_all_tokens_have_the_same_plan_and_no_refiner(spec, public, vault, run, monkeypatch, order):
    monkeypatch.setattr(Regression, "prepare", lambda *_: pytest.fail("prepared a refiner"))
    method = _fitted(spec, public, vault, run, tokens="all", order=order)
    assert plan_of(method, REQUEST) == plan_of(_method(spec), REQUEST)
    images = method.sample(REQUEST.conditions, run)
    assert images.shape == (256, 1, 16, 16)
    assert share_horizontal(images[0::2]) > share_horizontal(images[1::2]) + 0.3
    other = _method(spec, tokens="all", order=order)
    other.load_state_dict(method.state_dict())
    run.generator.manual_seed(3)
    images = method.sample(REQUEST.conditions, run)
    run.generator.manual_seed(3)
    assert torch.equal(images, other.sample(REQUEST.conditions, run))


def test_bicubic_refiner_interpolates_the_decoded_image(spec, public, vault, run):
    settings = WITHOUT_REFINER | {"refiner.name": "bicubic", "steps": 2}
    method = Wavelet(build(Wavelet.Config, settings), spec)
    method.prepare(public, run)
    method.prepare_sampling(public, run)
    method.fit(vault(plan_of(method, REQUEST), 5.0), run)
    run.generator.manual_seed(0)
    tokens = method.model.source.sample(torch.zeros(4, dtype=torch.long), 4, run)
    run.generator.manual_seed(0)
    images = method.sample(Conditions(4, (0,) * 4), run)
    decoded = method.model.tokenizer.decode(tokens)
    wanted = torch.nn.functional.interpolate(decoded, (16, 16), mode="bicubic").clamp(-1, 1)
    assert (to_unit(images) - wanted).abs().max() < 1 / 127


def test_warm_up_adds_one_mechanism_with_fixed_noise(spec):
    warm, finetune = plan_of(_method(spec, central_noise=20.0), REQUEST).mechanisms
    assert warm == NoisySum(name="central images", clip=4.0, noise_multiplier=20.0)  # half of sqrt(8 · 8)
    assert finetune == plan_of(_method(spec), REQUEST).mechanisms[0]


def test_central_images_are_class_means_with_the_planned_noise(spec, vault, sensitive):
    method = _method(spec, central_noise=1.0)
    mechanism, _ = plan_of(method, REQUEST).mechanisms
    images, labels = unit_images(sensitive.batch(range(400))), sensitive.batch(range(400)).labels
    bands = (coarse(images, 1) + 1) / 2
    assert bands.flatten(1).norm(dim=1).max() < mechanism.clip  # nothing is clipped here
    means = torch.stack([bands[labels == c].mean(0) for c in (0, 1)])
    released = method.model.central_images(vault(Plan(mechanism), 5.0), CENTRAL).images
    assert released.shape == (2, 1, 16, 16)
    error = (coarse(released, 1) + 1) / 2 - means
    assert torch.equal(released, coarse(released, 1).repeat_interleave(2, -1).repeat_interleave(2, -2))
    inside = (means > 0.06) & (means < 0.9)  # away from the clamping bounds
    expected = mechanism.clip / 200
    assert abs(error[inside].std() / expected - 1) < 0.35


def test_bands_above_the_clip_are_clipped(spec, vault):
    method = _method(spec, central_noise=1e-6)
    mechanism = dataclasses.replace(plan_of(method, REQUEST).mechanisms[0], clip=0.1)
    private = vault(Plan(mechanism), float("inf"))
    total = (method.model.central_images(private, CENTRAL).images + 1) / 2 * 200  # the sums, per class
    assert coarse(total, 1).flatten(1).norm(dim=1).max() <= 200 * 0.1 + 1e-3


def test_warm_up_learns_classes_and_must_be_in_the_plan(spec, public, vault, run):
    method = _method(spec, central_noise=1.0, central_steps=150, public_lr=3e-3, steps=1, lr=1e-6)
    method.prepare(public, run)
    method.prepare_sampling(public, run)
    method.fit(vault(plan_of(method, REQUEST), 10.0), run)
    images = method.sample(REQUEST.conditions, run)
    assert share_horizontal(images[0::2]) > share_horizontal(images[1::2]) + 0.2
    with pytest.raises(DpbenchError, match="central images"):
        _method(spec, central_noise=1.0).fit(vault(plan_of(_method(spec), REQUEST), 10.0), run)
