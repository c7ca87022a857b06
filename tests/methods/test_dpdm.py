import pytest
import torch
from bar_orientation import share_horizontal
from planned import plan_of

from dpbench.benchmark.configure import configure
from dpbench.core.config import build
from dpbench.core.errors import ConfigError
from dpbench.core.specs import Budget, Conditions, DatasetSpec, Request
from dpbench.methods.dpdm import DPDM
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.gradients.bookkeeping import BookKeepingEngine

TINY = {
    "channels": (16,), "patch": 4, "batch": 48, "steps": 40, "views": 2, "lr": 1e-2, "clip": 0.3, "p_mean": 0.0,
    "micro_batch": 128, "sampling_steps": 8,
}  # fmt: skip
REQUEST = Request(Conditions.balanced(128, 2))


def _method(spec: DatasetSpec, **settings: object) -> DPDM:
    return DPDM(build(DPDM.Config, TINY | settings), spec)


def test_samples_match_their_class_without_noise(spec, vault, run):
    method = _method(spec)
    private = vault(plan_of(method, REQUEST), float("inf"))
    method.fit(private, run)
    private.ledger.check_complete()
    images = method.sample(REQUEST.conditions, run)
    assert images.shape == (128, 1, 16, 16)
    assert images.dtype == torch.uint8
    assert share_horizontal(images[0::2]) > 0.65
    assert share_horizontal(images[1::2]) < 0.35


def test_plan_is_one_dp_sgd_mechanism(spec):
    (mechanism,) = plan_of(_method(spec), REQUEST).mechanisms
    assert mechanism.sampling_rate == 48 / 400
    assert mechanism.releases == 40
    assert mechanism.clip == 0.3


def test_views_repeat_the_same_record(spec, vault, run, monkeypatch):
    method = _method(spec, steps=1, views=3, micro_batch=30)
    seen = []
    clipped_sum = BookKeepingEngine.clipped_sum
    monkeypatch.setattr(
        BookKeepingEngine,
        "clipped_sum",
        lambda engine, batch, *rest: seen.append(batch.images) or clipped_sum(engine, batch, *rest),
    )
    method.fit(vault(plan_of(method, REQUEST), 5), run)
    views = seen[-1].reshape(-1, 3, *spec.shape)
    assert len(views) == 10
    assert torch.equal(views[:, 0], views[:, 1])
    assert torch.equal(views[:, 0], views[:, 2])


def test_every_weight_of_the_denoiser_is_trained_privately(spec):
    method = _method(spec)
    assert method.parameters()[0] == sum(p.numel() for p in method.model.denoiser.parameters())


@pytest.mark.parametrize("engine", ["book-keeping", "opacus"])
@pytest.mark.parametrize("attention", [0, 1])
def test_every_engine_trains_the_model(spec, vault, run, engine, attention):
    method = _method(spec, channels=(8, 16), engine=engine, attention=attention, steps=2, batch=20)
    private = vault(plan_of(method, REQUEST), 5)
    method.fit(private, run)
    private.ledger.check_complete()


def test_gradient_checkpointing_works_with_private_training(spec, vault, run):
    method = _method(spec, channels=(8, 16), gradient_checkpointing=True, steps=1, batch=20)
    private = vault(plan_of(method, REQUEST), 5)
    method.fit(private, run)
    private.ledger.check_complete()


def test_indivisible_resolution_raises_an_error():
    with pytest.raises(ConfigError, match="do not divide 20 pixels"):
        _method(DatasetSpec("odd", 1, 20, 400, 0, None, True), channels=(8, 16))


def test_contradictory_settings_raise_an_error(spec):
    with pytest.raises(ConfigError, match="label_dropout"):
        _method(spec, label_dropout=0, guidance=2)
    with pytest.raises(ConfigError, match="churn works with sampler=ddim"):
        _method(spec, churn=5)


@pytest.mark.parametrize("method", ["dpdm", "dp-sgd", "dp-feta"])
def test_paper_presets_calibrate(method):
    spec = DatasetSpec("mnist", 1, 32, 60_000, 10_000, tuple("0123456789"), True)
    (configured,) = configure([method], "mnist", "paper", {})
    plan = calibrate(configured.method.plan(configured.config, spec, REQUEST), Budget(1, 1e-6))
    training = plan["training"]
    assert training.sampling_rate == 4096 / 60_000
    assert training.releases == round(300 * 60_000 / 4096) == 4395
    assert 0.995 <= plan.epsilon <= 1
