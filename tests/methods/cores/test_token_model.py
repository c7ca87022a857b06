import dataclasses

import pytest
import torch

from dpbench.core.errors import ConfigError
from dpbench.core.specs import DatasetSpec
from dpbench.methods.cores.tokens.token_model import TokenModel
from dpbench.methods.cores.tokens.token_settings import TokenModelSettings
from dpbench.models.image_range import unit_images
from dpbench.models.token_order import one_by_one
from dpbench.privacy.plan import Plan

SETTINGS = TokenModelSettings(
    dim=16, depth=2, heads=2, public_steps=2, public_batch=8, batch=100, steps=3, lr=1e-2, label_dropout=0.25
)
FINETUNE = "finetune"


def _quadrants(images: torch.Tensor) -> torch.Tensor:
    """Four tokens: the mean brightness of each quadrant in 8 steps."""
    means = torch.nn.functional.adaptive_avg_pool2d(images, 2).mean(1).flatten(1)
    return ((means + 1) * 4).long().clamp(0, 7)


def _model(n_classes: int = 2, **settings) -> TokenModel:
    torch.manual_seed(0)
    spec = DatasetSpec("test", 1, 16, 400, 100, tuple(map(str, range(n_classes))) or None, True)
    return TokenModel(dataclasses.replace(SETTINGS, **settings), _quadrants, 8, one_by_one(4), spec)


def _finetuned(spec, vault, run, epsilon=5.0, **settings) -> tuple[TokenModel, dict[str, torch.Tensor]]:
    """A privately finetuned model and its weights before finetuning."""
    model = _model(**settings)
    before = {name: value.clone() for name, value in model.transformer.state_dict().items()}
    private = vault(Plan(model.settings.mechanism(FINETUNE, spec)), epsilon)
    model.finetune(private.derive(lambda batch: _quadrants(unit_images(batch))), FINETUNE, run)
    private.ledger.check_complete()
    return model, before


def _changed(model: TokenModel, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, value in model.transformer.state_dict().items() if not torch.equal(value, before[name])}


def test_private_class_embeddings_start_around_the_public_mean():
    public = _model(n_classes=200)
    torch.nn.init.normal_(public.transformer.condition.weight, mean=3.0)
    state = public.transformer.state_dict()
    model = _model()
    model.load_public_weights(state, torch.Generator().manual_seed(0))
    classes = model.transformer.condition.weight[:-1]
    scale = state["token.weight"].std()
    assert torch.equal(model.transformer.condition.weight[-1], state["condition.weight"][-1])
    spread = (classes - state["condition.weight"][:-1].mean(0)) / scale
    assert 0.6 < spread.std() < 1.4
    assert (classes[0] - classes[1]).norm() > 0.1 * scale
    alike = _model(scatter=0.0)
    alike.load_public_weights(state, torch.Generator().manual_seed(0))
    assert torch.equal(alike.transformer.condition.weight[0], alike.transformer.condition.weight[1])


def test_public_images_without_augmentation_are_encoded_once(public, run, monkeypatch):
    for augmentation, expected in (("none", len(public)), ("flip", 100 * 8)):
        model, encoded = _model(public_steps=100, augmentation=augmentation), []
        monkeypatch.setattr(model, "encode", lambda images, to=encoded: (to.append(len(images)), _quadrants(images))[1])
        model.pretrained(public, run)
        assert sum(encoded) == expected


def test_full_finetuning_changes_every_weight(spec, vault, run):
    model, before = _finetuned(spec, vault, run)
    assert _changed(model, before) == set(before)
    assert model.trained == sum(value.numel() for value in before.values())


def test_lora_changes_adapted_layers_and_class_embeddings_only(spec, vault, run):
    model, before = _finetuned(spec, vault, run, trainable="lora", modules="attention", rank=2)
    layers = {f"blocks.{i}.attention.{layer}.weight" for i in range(2) for layer in ("qkv", "out")}
    assert _changed(model, before) == layers | {"condition.weight"}
    for name in layers:
        added = model.transformer.state_dict()[name] - before[name]
        assert torch.linalg.matrix_rank(added, rtol=1e-4) <= 2
    adapters = 2 * (2 * (16 + 48) + 2 * (16 + 16))
    assert model.trained == adapters + before["condition.weight"].numel()


def test_chosen_modules_and_class_embeddings_are_trained(spec, vault, run):
    model, before = _finetuned(spec, vault, run, trainable="chosen", modules=r"norm|blocks\.1\.mlp")
    wanted = {n for n in before if "norm" in n or "blocks.1.mlp" in n} | {"condition.weight"}
    assert _changed(model, before) == wanted
    assert model.trained == sum(before[name].numel() for name in wanted)


@pytest.mark.parametrize(("modules", "message"), [("nothing-like-this", "no layer"), ("(", "not a regular expression")])
@pytest.mark.parametrize("trainable", ["lora", "chosen"])
def test_modules_matching_no_layer_raise_an_error(spec, vault, run, trainable, modules, message):
    with pytest.raises(ConfigError, match=message):
        _finetuned(spec, vault, run, trainable=trainable, modules=modules)


def test_label_dropout_has_the_configured_rate():
    model = _model()
    seen: list[torch.Tensor] = []
    transformer = model.transformer
    transformer.loss = lambda tokens, condition, text: (seen.append(condition), torch.zeros(len(tokens)))[1]
    model.loss(
        transformer, torch.zeros(4000, 4, dtype=torch.long), torch.zeros(4000, dtype=torch.long), torch.Generator()
    )
    assert set(seen[0].tolist()) == {0, 2}
    assert abs((seen[0] == 2).float().mean().item() - 0.25) < 0.03


def test_each_row_draws_one_copy_of_its_record_at_random():
    model, seen = _model(), []
    model.transformer.loss = lambda tokens, condition, text: (seen.append(tokens), torch.zeros(len(tokens)))[1]
    record = torch.arange(600)[:, None, None] * 10
    copies = (record + torch.arange(3)[None, :, None]).expand(600, 3, 4)
    model.loss(model.transformer, copies, None, torch.Generator().manual_seed(0))
    drawn = seen[0] - record.squeeze(1)
    assert (drawn == drawn[:, :1]).all()  # one copy from end to end
    assert ((torch.bincount(drawn[:, 0], minlength=3) / 600 - 1 / 3).abs() < 0.1).all()


def test_guidance_without_label_dropout_raises_an_error():
    with pytest.raises(ConfigError, match="label_dropout"):
        _model(guidance=2.0, label_dropout=0.0)


def test_heads_that_do_not_divide_the_width_raise_an_error():
    with pytest.raises(ConfigError, match="3 heads"):
        _model(heads=3)
