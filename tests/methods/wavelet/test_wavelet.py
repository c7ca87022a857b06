import pytest
import torch
from bar_orientation import share_horizontal
from planned import plan_of

from dpbench.benchmark.configure import configure
from dpbench.core.config import build
from dpbench.core.errors import ConfigError
from dpbench.core.refiner import Refiner
from dpbench.core.registries import REFINERS
from dpbench.core.specs import Conditions, DatasetSpec, Request
from dpbench.methods.wavelet import Wavelet
from dpbench.methods.wavelet.two_stages import TwoStages
from dpbench.models.image_range import to_uint8
from dpbench.refiners.regression import Regression

TINY = {
    "levels": 1, "codes": 16, "detail_codes": 16, "code_dim": 8, "tokenizer_dim": 16, "tokenizer_heads": 2,
    "tokenizer_depth": 1, "tokenizer_steps": 120, "tokenizer_batch": 32, "tokenizer_lr": 5e-3,
    "dim": 32, "depth": 2, "heads": 2, "public_steps": 60, "public_batch": 32, "batch": 200,
    "steps": 40, "lr": 5e-3, "refiner.steps": 40, "refiner.width": 8, "refiner.depth": 1,
}  # fmt: skip
REQUEST = Request(Conditions.balanced(256, 2))


def _method(spec: DatasetSpec, **settings: object) -> Wavelet:
    return Wavelet(build(Wavelet.Config, TINY | settings), spec)


def _fitted(spec, public, vault, run, epsilon=float("inf"), **settings) -> Wavelet:
    method = _method(spec, **settings)
    private = vault(plan_of(method, REQUEST), epsilon)
    method.prepare(public, run)
    method.prepare_sampling(public, run)
    method.fit(private, run)
    private.ledger.check_complete()
    return method


def test_samples_match_their_class_without_noise(spec, public, vault, run):
    method = _fitted(spec, public, vault, run, steps=80)
    images = method.sample(REQUEST.conditions, run)
    assert images.shape == (256, 1, 16, 16)
    assert images.dtype == torch.uint8
    assert share_horizontal(images[0::2]) > 0.65
    assert share_horizontal(images[1::2]) < 0.35


def test_pretrained_model_without_scatter_ignores_the_class(spec, public, run):
    method = _method(spec, scatter=0.0)
    method.prepare(public, run)
    method.prepare_sampling(public, run)
    run.generator.manual_seed(1)
    first = method.sample(Conditions(16, (0,) * 16), run)
    run.generator.manual_seed(1)
    assert torch.equal(first, method.sample(Conditions(16, (1,) * 16), run))


def test_plan_is_one_dp_sgd_mechanism(spec):
    (mechanism,) = plan_of(_method(spec), REQUEST).mechanisms
    assert mechanism.sampling_rate == 200 / 400
    assert mechanism.releases == 40


def test_public_pretraining_is_cached(spec, public, run, monkeypatch):
    _method(spec).prepare(public, run)
    monkeypatch.setattr(TwoStages, "_pretrain", lambda *_: pytest.fail("pretrained again"))
    monkeypatch.setattr(TwoStages, "_learn_tokenizer", lambda *_: pytest.fail("trained the tokenizer again"))
    _method(spec, steps=7, lr=1e-4, guidance=2.0, trainable="lora").prepare(public, run)


def test_refiner_is_retrained_only_for_another_tokenizer(spec, public, run):
    def trained(**settings: int) -> int:
        method = _method(spec, **settings)
        method.prepare(public, run)
        method.prepare_sampling(public, run)
        return len(list(run.cache.folder.glob("regression-*.safetensors")))

    assert trained() == 1
    assert trained(dim=64, public_steps=1) == 1
    assert trained(codes=8) == 2


def test_the_private_phase_needs_no_refiner(spec, public, vault, run, monkeypatch):
    monkeypatch.setattr(Regression, "prepare", lambda *_: pytest.fail("prepared a refiner"))
    method = _method(spec, steps=2)
    method.prepare(public, run)
    method.fit(vault(plan_of(method, REQUEST), 5), run)


def test_indivisible_resolution_raises_an_error():
    with pytest.raises(ConfigError, match="3 Haar levels do not divide 28 pixels"):
        _method(DatasetSpec("odd", 1, 28, 400, 0, None, True), levels=3)


def test_missing_public_images_raise_an_error(spec, run):
    with pytest.raises(ConfigError, match="--public"):
        _method(spec).prepare(None, run)


@pytest.mark.parametrize("settings", [{"engine": "opacus"}, {"engine": "vmap"}, {"gradient_checkpointing": True}])
def test_every_engine_and_checkpointing_train_the_model(spec, public, vault, run, settings):
    method = _method(spec, steps=2, **settings)
    method.prepare(public, run)
    method.prepare_sampling(public, run)
    private = vault(plan_of(method, REQUEST), 5)
    method.fit(private, run)
    private.ledger.check_complete()


def test_paper_preset_is_sit_4_at_256_pixels():
    spec = DatasetSpec("photos", 3, 256, 50_000, 0, None, True)
    (chosen,) = configure(["wavelet"], "photos", "paper", {})
    with torch.device("meta"):  # no memory for weights
        method = Wavelet(chosen.config, spec)
    assert method.model.coarse.transformer.config.length == 256
    assert method.model.tokenizer.length(4) == 1024
    assert plan_of(method, Request(Conditions(10))).mechanisms[0].sampling_rate == 4096 / 50_000
    assert chosen.config.central_noise == 0


@pytest.mark.parametrize("trainable", ["all", "lora", "chosen"])
def test_plan_does_not_depend_on_trainable_weights(spec, trainable):
    assert plan_of(_method(spec, trainable=trainable), REQUEST) == plan_of(_method(spec), REQUEST)


def test_a_refiner_of_several_draws_gets_coarse_images_of_the_same_class(spec, public, vault, run, registries):
    seen = []

    @REFINERS.register("first-of-three")
    class FirstOfThree(Refiner):
        """Every pixel of the first draw twice."""

        draws = 3

        def refine(self, coarse, size, run):
            seen.append(coarse)
            return coarse[:, 0].repeat_interleave(2, -1).repeat_interleave(2, -2)

    plain = {name: value for name, value in TINY.items() if not name.startswith("refiner.")} | {"steps": 80}
    config = build(Wavelet.Config, plain | {"refiner.name": "first-of-three"})
    method = Wavelet(config, spec)
    private = vault(plan_of(method, REQUEST), float("inf"))
    method.prepare(public, run)
    method.prepare_sampling(public, run)
    method.fit(private, run)
    images = method.sample(REQUEST.conditions, run)
    assert images.shape == (256, 1, 16, 16)
    (coarse,) = seen
    assert coarse.shape == (256, 3, 1, 8, 8)
    for draw in range(3):
        assert share_horizontal(to_uint8(coarse[0::2, draw])) > 0.65
        assert share_horizontal(to_uint8(coarse[1::2, draw])) < 0.35
    assert not torch.equal(coarse[:, 0], coarse[:, 1])


def test_the_refiner_states_its_cost(spec, public, vault, run):
    method = _fitted(spec, public, vault, run)
    method.sample(REQUEST.conditions, run)
    assert method.refiner.cost.images == 256
    assert method.refiner.cost.seconds > 0
    assert 0 < method.refiner.parameters() < method.parameters()[1]
    assert _method(spec, tokens="all").refiner is None
