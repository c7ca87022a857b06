"""The diffusion methods on captions: without noise, samples show what their prompts say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from bar_orientation import share_horizontal
from captioned_bars import captioned_bars
from captioned_trials import REQUEST, SENSITIVE, fitted
from latent_settings import TINY
from tiny_pipelines import save_text_to_image, save_unconditional
from torch import nn

from dpbench.core.cache import PublicCache
from dpbench.core.config import build
from dpbench.core.context import RunContext
from dpbench.core.errors import ConfigError
from dpbench.core.registries import METHODS
from dpbench.core.specs import Batch, Conditions, DatasetSpec
from dpbench.data.arrays import ArrayDataset
from dpbench.methods.cores.image_conditions import Captions
from dpbench.models.caption_settings import CaptionSettings
from dpbench.models.caption_unet import CaptionUNet

TEXT: dict[str, Any] = {"text_tokens": 5, "text.dim": 16, "text.rows": 1000, "context": 16}
LATENT: dict[str, Any] = TINY | TEXT | {"autoencoder_steps": 25, "public_steps": 40, "steps": 12}

SETTINGS: dict[str, dict[str, Any]] = {
    "dp-sgd": TEXT | {
        "channels": (16,), "patch": 4, "public_steps": 60, "public_batch": 32, "public_lr": 3e-3, "batch": 64,
        "steps": 30, "lr": 5e-3, "clip": 0.3, "p_mean": 0.0, "micro_batch": 128, "sampling_steps": 6,
    },
    "dp-ldm": LATENT,
    "dp-lora": LATENT | {"rank": 4, "lr": 4e-2},
}  # fmt: skip

FEW = {"autoencoder_steps": 1, "public_steps": 2, "steps": 2, "batch": 20, "sampling_steps": 2}

TRAINED = {"dp-sgd": "", "dp-ldm": r"\.attentions\.|^captions\.", "dp-lora": r"\.attn\d\.|^captions\."}
"""Which weights of its network a method trains privately: the names that match."""


@pytest.fixture(scope="module")
def public_cache(tmp_path_factory: pytest.TempPathFactory) -> PublicCache:
    """Shared by the tests: `dp-ldm` and `dp-lora` have the same public part."""
    return PublicCache(tmp_path_factory.mktemp("public"))


@pytest.fixture
def run(public_cache: PublicCache) -> RunContext:
    torch.manual_seed(0)
    return RunContext("cpu", torch.Generator().manual_seed(0), public_cache)


def few(name: str, **changes: Any) -> dict[str, Any]:
    known = SETTINGS[name]
    return known | {key: value for key, value in FEW.items() if key in known} | changes


def new(name: str, spec: DatasetSpec, **changes: Any) -> Any:
    plugin = METHODS.get(name)
    return plugin(build(plugin.Config, few(name, **changes)), spec)


def network(method: Any) -> Any:
    """The network that is trained privately."""
    found = [m for m in vars(method.model).values() if isinstance(m, nn.Module)]
    return next(m for module in found for m in module.modules() if isinstance(m, CaptionUNet))


@pytest.mark.parametrize("name", SETTINGS)
def test_samples_show_what_their_prompt_says(name: str, run: RunContext) -> None:
    method: Any = fitted(name, SETTINGS[name], captioned_bars("public", 300), run)
    images = method.sample(REQUEST.conditions, run)
    assert images.shape == (128, 1, 16, 16)
    assert share_horizontal(images[0::2]) > share_horizontal(images[1::2]) + 0.5
    (asked, *_) = REQUEST.conditions.chunks(8)
    run.generator.manual_seed(1)
    before = method.sample(asked, run)
    again = METHODS.get(name)(method.config, method.spec)
    again.load_state_dict(method.state_dict())
    run.generator.manual_seed(1)
    assert torch.equal(again.sample(asked, run), before)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("dp-sgd", {"views": 3, "attention": 1}),
        ("dp-ldm", {"views": 2}),
        ("dp-lora", {"select": "saliency"}),
    ],
)
def test_the_words_and_the_chosen_weights_are_trained_with_noise(
    name: str, settings: dict[str, Any], run: RunContext
) -> None:
    public = captioned_bars("public", 300)
    untrained = new(name, SENSITIVE.spec, **settings)
    untrained.prepare(public, run)
    start = network(untrained).state_dict()
    method = fitted(name, few(name, **settings), public, run, 5.0)
    changed = {key for key, value in network(method).state_dict().items() if not torch.equal(value, start[key])}
    assert all(re.search(TRAINED[name], key) for key in changed)
    assert {"captions.words.weight", "captions.place.weight"} <= changed
    assert method.sample(Conditions(3, ("a bar", "", "猫 " * 500)), run).shape == (3, 1, 16, 16)


def test_a_public_source_without_captions_teaches_the_null_condition(run: RunContext, public: ArrayDataset) -> None:
    method: Any = new("dp-sgd", SENSITIVE.spec)
    method.prepare(public, run)
    assert method.sample(Conditions(2, ("a bar", "")), run).shape == (2, 1, 16, 16)
    (image, given), condition = method.model.condition.drawn(_Once(public))(3), method.model.condition
    assert given is None
    assert not condition.y(given, len(image), run.generator, "cpu").any()


class _Once:
    """The first records of a dataset as a batch."""

    def __init__(self, dataset: ArrayDataset):
        self._dataset = dataset

    def batch(self, size: int) -> Batch:
        return self._dataset.batch(range(size))


def test_a_row_of_words_is_one_of_its_captions(run: RunContext) -> None:
    condition = new("dp-sgd", SENSITIVE.spec).model.condition
    given = condition.of(SENSITIVE.batch([0] * 300 + [9]))  # two captions, and none
    words = condition.y(given, 301, run.generator, "cpu")
    first, second = (condition.y(given[:1, k : k + 1], 1, run.generator, "cpu")[0] for k in range(2))
    counts = [sum(torch.equal(row, caption) for row in words[:300]) for caption in (first, second)]
    assert sum(counts) == 300
    assert min(counts) > 100
    assert not words[300].any()


def test_without_captions_text_settings_change_neither_the_networks_nor_their_key(spec: DatasetSpec) -> None:
    for name in SETTINGS:
        for settings in ({}, {"text_tokens": 7, "text.dim": 4}):
            torch.manual_seed(0)
            model = new(name, spec, **settings).model
            assert model.condition.key == {}
            assert not any("captions" in key for key in model.state_dict())


@pytest.mark.parametrize("name", ["dp-sgd", "dp-ldm"])
def test_pretraining_depends_on_the_text_encoder(name: str) -> None:
    keys = [
        dict(new(name, SENSITIVE.spec, **changes).model.condition.key)
        for changes in ({}, {"lr": 1e-5}, {"text_tokens": 7}, {"text.dim": 4}, {"context": 8})
    ]
    assert keys[0] == keys[1]
    assert all(key != keys[0] for key in keys[2:])


@pytest.mark.parametrize("name", SETTINGS)
def test_captions_change_nothing_in_the_plan(name: str) -> None:
    plugin = METHODS.get(name)
    config: Any = build(plugin.Config, few(name))
    classes = DatasetSpec("bars", 1, 16, 400, 100, ("horizontal", "vertical"), True)
    assert plugin.plan(config, SENSITIVE.spec, REQUEST) == plugin.plan(config, classes, REQUEST)


@pytest.mark.parametrize("name", SETTINGS)
def test_an_encoder_of_captions_needs_captions(name: str, spec: DatasetSpec) -> None:
    plugin = METHODS.get(name)
    config: Any = build(plugin.Config, {"text.name": "t5"})
    assert plugin.track_of(config) == "foundation"
    with pytest.raises(ConfigError, match=r"text\.name=t5 encodes captions, and bars has none"):
        plugin.plan(config, spec, REQUEST)
    assert plugin.track_of(build(plugin.Config, {})) == "images"


def test_a_text_to_image_checkpoint_is_finetuned(run: RunContext, tmp_path: Path) -> None:
    folder = save_text_to_image(tmp_path / "published")
    stored = {"checkpoint": str(folder), "text.name": "clip", "text.weights": str(folder)}
    settings = {key: value for key, value in few("dp-ldm").items() if key not in ("text.dim", "text.rows")} | stored
    method: Any = fitted("dp-ldm", settings, None, run, 5.0)
    assert method.track_of(method.config) == "foundation"
    assert list(method.weights_of(method.config)) == ["published", "published/text_encoder"]
    empty, prompt = (method.model.condition.asked(Conditions(1, (text,))) for text in ("", "a red bar"))
    words = [method.model.condition.y(given, 1, run.generator, "cpu") for given in (empty, prompt)]
    context, mask = method.model.unet.captions(torch.cat(words))
    assert mask.tolist() == [[True, True, False, False, False], [True] * 5]  # the marks of beginning and end
    torch.testing.assert_close(context[1:], words[1])
    assert method.sample(Conditions(2, ("a bar", "")), run).shape == (2, 1, 16, 16)


def test_more_tokens_than_an_encoder_reads_are_refused(tmp_path: Path) -> None:
    folder = save_text_to_image(tmp_path / "published")
    with pytest.raises(ConfigError, match=r"text\.name=clip reads 12 tokens; set text_tokens=12 or less"):
        Captions(build(CaptionSettings, {"text.name": "clip", "text.weights": str(folder), "text_tokens": 13}))


def test_a_checkpoint_that_takes_no_such_captions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="takes no captions"):
        new("dp-ldm", SENSITIVE.spec, checkpoint=str(save_unconditional(tmp_path / "a")))
    folder = save_text_to_image(tmp_path / "b")
    with pytest.raises(ConfigError, match=r"word vectors of size 8, but those of text\.name=hashed have size 16"):
        new("dp-ldm", SENSITIVE.spec, checkpoint=str(folder))
