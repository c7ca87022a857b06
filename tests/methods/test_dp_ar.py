import pytest
import torch
from bar_orientation import share_horizontal
from planned import plan_of

from dpbench.benchmark.configure import configure
from dpbench.core.config import build
from dpbench.core.errors import ConfigError
from dpbench.core.specs import Batch, Conditions, DatasetSpec, Request
from dpbench.methods.cores.tokens.image_tokenizer import ImageTokenizer
from dpbench.methods.cores.tokens.token_model import TokenModel
from dpbench.methods.dp_ar import DPAR, FINETUNE
from dpbench.privacy.mechanisms.mechanism import DPSGD

TINY = {
    "patch": 4, "codes": 16, "code_dim": 8, "tokenizer_dim": 16, "tokenizer_depth": 1, "tokenizer_steps": 80,
    "tokenizer_batch": 32, "tokenizer_lr": 5e-3, "dim": 32, "depth": 2, "heads": 2, "public_steps": 60,
    "public_batch": 32, "batch": 100, "steps": 60, "lr": 5e-3,
}  # fmt: skip
UNTRAINED = {"tokenizer_steps": 2, "public_steps": 2, "steps": 2}
REQUEST = Request(Conditions.balanced(256, 2))


def _method(spec: DatasetSpec, **settings: object) -> DPAR:
    return DPAR(build(DPAR.Config, TINY | settings), spec)


def _fitted(spec, public, vault, run, epsilon=float("inf"), **settings) -> DPAR:
    method = _method(spec, **settings)
    private = vault(plan_of(method, REQUEST), epsilon)
    method.prepare(public, run)
    method.fit(private, run)
    private.ledger.check_complete()
    return method


def test_samples_match_their_class_without_noise(spec, public, vault, run):
    images = _fitted(spec, public, vault, run).sample(REQUEST.conditions, run)
    assert images.shape == (256, 1, 16, 16)
    assert images.dtype == torch.uint8
    assert share_horizontal(images[0::2]) > 0.65
    assert share_horizontal(images[1::2]) < 0.35


def test_next_scale_samples_match_their_class_without_noise(spec, public, vault, run):
    method = _fitted(spec, public, vault, run, order="next-scale", patch=8, steps=80)
    assert method.model.order.blocks == (1, 4)
    images = method.sample(REQUEST.conditions, run)
    assert share_horizontal(images[0::2]) > share_horizontal(images[1::2]) + 0.3


def test_pretrained_model_without_scatter_ignores_the_class(spec, public, run):
    method = _method(spec, scatter=0.0, **UNTRAINED)
    method.prepare(public, run)
    run.generator.manual_seed(1)
    first = method.sample(Conditions(16, (0,) * 16), run)
    run.generator.manual_seed(1)
    assert torch.equal(first, method.sample(Conditions(16, (1,) * 16), run))


def test_plan_is_one_dp_sgd_mechanism_whatever_is_trained(spec):
    wanted = DPSGD(name=FINETUNE, clip=1.0, n=400, expected_batch=100, steps=60)
    for settings in ({}, {"order": "next-scale"}, {"trainable": "lora"}, {"views": 4, "private_augmentation": "flip"}):
        assert plan_of(_method(spec, **settings), REQUEST).mechanisms == (wanted,)
    assert wanted.sampling_rate == 0.25
    assert wanted.releases == 60


def test_paper_preset_is_next_scale_finetuning_by_adapters():
    """q = 0.01, 100 epochs, C = 0.1, LoRA of rank 16 and alpha 32, 128 views (arXiv 2507.11441); VAR-d16's grids."""
    spec = DatasetSpec("folder:flowers", 3, 256, 1_020, 6_149, tuple(map(str, range(102))), True)
    (chosen,) = configure(["dp-ar"], spec.name, "paper", {})
    config = chosen.config
    assert (config.rank, config.alpha, config.lr, config.views) == (16, 32, 5e-4, 128)
    assert config.sides(256) == (1, 2, 3, 4, 5, 6, 8, 10, 13, 16)
    (mechanism,) = DPAR.plan(config, spec, Request(Conditions(10))).mechanisms
    assert mechanism.sampling_rate == pytest.approx(0.01, rel=0.02)
    assert mechanism.releases * mechanism.sampling_rate == pytest.approx(100, rel=0.02)
    assert mechanism.clip == 0.1
    with torch.device("meta"):  # no memory for weights
        method = DPAR(config, spec)
    assert method.model.transformer.config.length == 680


def test_public_pretraining_is_cached(spec, public, run, monkeypatch):
    _method(spec, **UNTRAINED).prepare(public, run)
    monkeypatch.setattr(ImageTokenizer, "learn", lambda *_: pytest.fail("trained the tokenizer again"))
    monkeypatch.setattr(TokenModel, "pretrained", lambda *_: pytest.fail("pretrained again"))
    _method(spec, **UNTRAINED | {"steps": 7}, lr=1e-4, guidance=2.0, trainable="lora", views=3).prepare(public, run)


@pytest.mark.parametrize(
    ("name", "value"), [("dim", 16), ("order", "next-scale"), ("codes", 8), ("label_dropout", 0.3)]
)
def test_pretraining_cache_key_includes_what_it_depends_on(spec, public, run, monkeypatch, name, value):
    _method(spec, **UNTRAINED).prepare(public, run)
    monkeypatch.setattr(TokenModel, "pretrained", lambda *_: pytest.fail("pretrained again"))
    with pytest.raises(pytest.fail.Exception):
        _method(spec, **UNTRAINED, **{name: value}).prepare(public, run)


@pytest.mark.parametrize(("augmentation", "mirrored"), [("none", [False]), ("flip", [False, True])])
def test_records_are_tokens_of_different_copies_however_many_views(
    spec, sensitive, public, run, augmentation, mirrored
):
    method = _method(spec, views=5, private_augmentation=augmentation, **UNTRAINED)
    method.prepare(public, run)
    images = sensitive.batch(range(6)).images
    wanted = [method.tokenizer.encode(_unit(images.flip(-1) if flipped else images)) for flipped in mirrored]
    assert torch.equal(method.tokens(Batch(images)), torch.stack(wanted, 1))


def _unit(images: torch.Tensor) -> torch.Tensor:
    return images.float() / 127.5 - 1


def test_the_tokenizer_does_not_change_in_the_private_phase(spec, public, vault, run):
    method = _method(spec, **UNTRAINED)
    method.prepare(public, run)
    before = {name: value.clone() for name, value in method.tokenizer.state_dict().items()}
    method.fit(vault(plan_of(method, REQUEST), 5), run)
    assert all(torch.equal(value, before[name]) for name, value in method.tokenizer.state_dict().items())


@pytest.mark.parametrize("settings", [{"engine": "vmap"}, {"order": "next-scale", "engine": "opacus"}])
def test_other_engines_train_the_model(spec, public, vault, run, settings):
    _fitted(spec, public, vault, run, epsilon=5, **UNTRAINED, **settings)


def test_restored_model_samples_the_same_images(spec, public, vault, run):
    method = _fitted(spec, public, vault, run, epsilon=5, **UNTRAINED, trainable="lora")
    other = _method(spec)
    other.load_state_dict(method.state_dict())
    run.generator.manual_seed(3)
    images = method.sample(REQUEST.conditions, run)
    run.generator.manual_seed(3)
    assert torch.equal(images, other.sample(REQUEST.conditions, run))


def test_parameters_are_those_of_adapters_and_of_everything(spec, public, vault, run):
    method = _fitted(spec, public, vault, run, epsilon=5, **UNTRAINED, trainable="lora", modules="attention", rank=2)
    private, total = method.parameters()
    assert private == 2 * (2 * (32 + 96) + 2 * (32 + 32)) + 3 * 32  # adapters, two classes and "none"
    assert total == sum(value.numel() for value in method.state_dict().values())


def test_unlabelled_data_is_supported(public, run):
    method = _method(DatasetSpec("plain", 1, 16, 400, 0, None, True), **UNTRAINED)
    method.prepare(public, run)
    assert method.sample(Conditions(5), run).shape == (5, 1, 16, 16)


def test_indivisible_resolution_raises_an_error():
    with pytest.raises(ConfigError, match="patches of 8 do not divide 28 pixels"):
        DPAR.plan(build(DPAR.Config, {}), DatasetSpec("odd", 1, 28, 400, 0, None, True), REQUEST)


def test_missing_public_images_raise_an_error(spec, run):
    with pytest.raises(ConfigError, match="--public"):
        _method(spec).prepare(None, run)
