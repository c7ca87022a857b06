import dataclasses

import pytest
import torch

from dpbench.core.config import build
from dpbench.core.errors import ConfigError
from dpbench.core.specs import Conditions, Request
from dpbench.methods.wavelet import Wavelet
from dpbench.methods.wavelet.coarse import CoarseStage
from dpbench.methods.wavelet.scale_sizes import Scales
from dpbench.methods.wavelet.settings import CoarseSettings, TokenizerSettings
from dpbench.methods.wavelet.tokenizer import SpectralTokenizer
from dpbench.methods.wavelet.wavelet import FINETUNE
from dpbench.training.public import unit_images

SIZES = TokenizerSettings(codes=8, detail_codes=12, code_dim=4, tokenizer_dim=16, tokenizer_heads=2, tokenizer_depth=1)
SETTINGS = CoarseSettings(dim=16, depth=2, heads=2, batch=100, steps=3, lr=1e-2)
REQUEST = Request(Conditions.balanced(20, 2))


@pytest.fixture
def tokenizer() -> SpectralTokenizer:
    torch.manual_seed(0)
    return SpectralTokenizer(Scales(1, 16, 2, 2), SIZES, depth=1).eval()


@pytest.fixture
def whole_tokenizer() -> SpectralTokenizer:
    torch.manual_seed(0)
    return SpectralTokenizer(Scales(1, 16, 2, 2), SIZES).eval()


def _stage(tokenizer: SpectralTokenizer, **settings) -> CoarseStage:
    return CoarseStage(dataclasses.replace(SETTINGS, **settings), tokenizer, n_classes=2)


def _finetuned(tokenizer, spec, vault, run, epsilon=5.0, **settings) -> tuple[CoarseStage, dict[str, torch.Tensor]]:
    """A privately finetuned stage and its weights before finetuning."""
    stage = _stage(tokenizer, **settings)
    before = {name: value.clone() for name, value in stage.transformer.state_dict().items()}
    config = build(Wavelet.Config, {**vars(SIZES), **vars(stage.settings)})
    private = vault(Wavelet.plan(config, spec, REQUEST), epsilon)
    stage.finetune(private.derive(lambda batch: stage.encode(unit_images(batch))), FINETUNE, run)
    private.ledger.check_complete()
    return stage, before


def _changed(stage: CoarseStage, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, value in stage.transformer.state_dict().items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize("order", ["scale", "raster"])
def test_in_scale_order_inverts_the_sequence_order(whole_tokenizer, order):
    tokenizer = whole_tokenizer
    stage = _stage(tokenizer, tokens="all", order=order)
    images = torch.rand(5, 1, 16, 16) * 2 - 1
    sequences = stage.encode(images)
    assert sequences.shape == (5, 12)
    assert torch.equal(stage.in_scale_order(sequences), tokenizer.encode(images))
    wanted = {
        "scale": tokenizer.encode(images),
        "raster": tokenizer.encode(images)[:, [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]],
    }
    assert torch.equal(sequences, wanted[order])


@pytest.mark.parametrize("order", ["scale", "raster"])
def test_every_position_samples_from_the_right_codebook(whole_tokenizer, run, order):
    tokenizer = whole_tokenizer
    stage = _stage(tokenizer, tokens="all", order=order, guidance=2.0)
    tokens = stage.sample(torch.tensor([0, 1] * 50), 100, run)
    n = tokenizer.scales.tokens
    assert tokens[:, :n].max() < len(tokenizer.approximation)
    assert tokens[:, n:].min() >= len(tokenizer.approximation)
    assert tokenizer.decode(tokens).shape == (100, 1, 16, 16)


def test_coarse_band_model_has_no_detail_tokens(tokenizer, run):
    stage = _stage(tokenizer)
    assert stage.transformer.config.vocabulary == 8
    assert tokenizer.detail is None
    assert tokenizer.decode(stage.sample(None, 3, run)).shape == (3, 1, 4, 4)


def test_private_class_embeddings_start_around_the_public_mean(tokenizer):
    public = CoarseStage(SETTINGS, tokenizer, n_classes=200)
    torch.nn.init.normal_(public.transformer.condition.weight, mean=3.0)
    state = public.transformer.state_dict()
    stage = _stage(tokenizer)
    stage.load_public_weights(state, torch.Generator().manual_seed(0))
    classes = stage.transformer.condition.weight[:-1]
    scale = state["token.weight"].std()
    assert torch.equal(stage.transformer.condition.weight[-1], state["condition.weight"][-1])
    spread = (classes - state["condition.weight"][:-1].mean(0)) / scale
    assert 0.6 < spread.std() < 1.4
    assert (classes[0] - classes[1]).norm() > 0.1 * scale
    alike = _stage(tokenizer, scatter=0.0)
    alike.load_public_weights(state, torch.Generator().manual_seed(0))
    assert torch.equal(alike.transformer.condition.weight[0], alike.transformer.condition.weight[1])


def test_full_finetuning_changes_every_weight(tokenizer, spec, vault, run):
    stage, before = _finetuned(tokenizer, spec, vault, run)
    assert _changed(stage, before) == set(before)
    assert stage.trained == sum(value.numel() for value in before.values())


def test_lora_changes_adapted_layers_and_class_embeddings_only(tokenizer, spec, vault, run):
    stage, before = _finetuned(tokenizer, spec, vault, run, trainable="lora", modules="attention", rank=2)
    layers = {f"blocks.{i}.attention.{layer}.weight" for i in range(2) for layer in ("qkv", "out")}
    assert _changed(stage, before) == layers | {"condition.weight"}
    for name in layers:
        added = stage.transformer.state_dict()[name] - before[name]
        assert torch.linalg.matrix_rank(added, rtol=1e-4) <= 2
    adapters = 2 * (2 * (16 + 48) + 2 * (16 + 16))
    assert stage.trained == adapters + before["condition.weight"].numel()


def test_chosen_modules_and_class_embeddings_are_trained(tokenizer, spec, vault, run):
    stage, before = _finetuned(tokenizer, spec, vault, run, trainable="chosen", modules=r"norm|blocks\.1\.mlp")
    wanted = {n for n in before if "norm" in n or "blocks.1.mlp" in n} | {"condition.weight"}
    assert _changed(stage, before) == wanted
    assert stage.trained == sum(before[name].numel() for name in wanted)


@pytest.mark.parametrize("trainable", ["all", "lora", "chosen"])
def test_plan_does_not_depend_on_trainable_weights(spec, trainable):
    plan = Wavelet.plan(build(Wavelet.Config, {"batch": 200, "trainable": trainable}), spec, REQUEST)
    assert plan == Wavelet.plan(build(Wavelet.Config, {"batch": 200}), spec, REQUEST)


@pytest.mark.parametrize(("modules", "message"), [("nothing-like-this", "no layer"), ("(", "not a regular expression")])
@pytest.mark.parametrize("trainable", ["lora", "chosen"])
def test_modules_matching_no_layer_raise_an_error(tokenizer, spec, vault, run, trainable, modules, message):
    with pytest.raises(ConfigError, match=message):
        _finetuned(tokenizer, spec, vault, run, trainable=trainable, modules=modules)


def test_label_dropout_has_the_configured_rate(tokenizer):
    stage = _stage(tokenizer, label_dropout=0.25)
    seen: list[torch.Tensor] = []
    model = stage.transformer
    model.loss = lambda tokens, condition: (seen.append(condition), torch.zeros(len(tokens)))[1]
    stage.loss(model, torch.zeros(4000, 4, dtype=torch.long), torch.zeros(4000, dtype=torch.long), torch.Generator())
    assert set(seen[0].tolist()) == {0, 2}
    assert abs((seen[0] == 2).float().mean().item() - 0.25) < 0.03


def test_guidance_without_label_dropout_raises_an_error(tokenizer):
    with pytest.raises(ConfigError, match="label_dropout"):
        _stage(tokenizer, guidance=2.0, label_dropout=0.0)
