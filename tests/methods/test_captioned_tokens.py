"""The token models on captions: without noise, samples show what their prompts say."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from bar_orientation import share_horizontal
from captioned_bars import captioned_bars
from captioned_trials import REQUEST, fitted

from dpbench.core.config import build
from dpbench.core.context import RunContext
from dpbench.core.errors import ConfigError
from dpbench.core.registries import METHODS
from dpbench.core.specs import Conditions, DatasetSpec
from dpbench.data.arrays import ArrayDataset

SHARED: dict[str, Any] = {
    "codes": 16, "code_dim": 8, "tokenizer_dim": 16, "tokenizer_depth": 1, "tokenizer_steps": 80,
    "tokenizer_batch": 32, "tokenizer_lr": 5e-3, "dim": 32, "depth": 2, "heads": 2, "public_steps": 60,
    "public_batch": 32, "batch": 100, "steps": 60, "lr": 5e-3, "text_tokens": 5, "text.dim": 16, "text.rows": 1000,
}  # fmt: skip

SETTINGS: dict[str, dict[str, Any]] = {
    "wavelet": SHARED | {"levels": 1, "patch": 2, "tokenizer_heads": 2, "refiner.name": "bicubic"},
    "dp-ar": SHARED | {"patch": 4},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_samples_show_what_their_prompt_says(name: str, run: RunContext) -> None:
    method = fitted(name, SETTINGS[name], captioned_bars("public", 300), run)
    images = method.sample(REQUEST.conditions, run)
    assert images.shape == (128, 1, 16, 16)
    assert share_horizontal(images[0::2]) > share_horizontal(images[1::2]) + 0.3
    run.generator.manual_seed(1)
    before = method.sample(REQUEST.conditions, run)
    plugin = METHODS.get(name)
    again = plugin(method.config, method.spec)
    again.load_state_dict(method.state_dict())
    run.generator.manual_seed(1)
    assert torch.equal(again.sample(REQUEST.conditions, run), before)


@pytest.mark.parametrize("settings", [{}, {"order": "next-scale", "patch": 8}, {"trainable": "lora"}, {"views": 3}])
def test_every_way_to_train_takes_captions_with_noise(settings: dict[str, Any], run: RunContext) -> None:
    few = {"tokenizer_steps": 2, "public_steps": 2, "steps": 2, "guidance": 1.5}
    method = fitted("dp-ar", SETTINGS["dp-ar"] | few | settings, captioned_bars("public", 300), run, 5.0)
    assert method.sample(Conditions(3, ("a bar", "", "猫 " * 500)), run).shape == (3, 1, 16, 16)


def test_a_public_source_without_captions_teaches_the_null_condition(run: RunContext, public: ArrayDataset) -> None:
    few = {"tokenizer_steps": 2, "public_steps": 20, "steps": 1, "augmentation": "none"}
    method: Any = fitted("dp-ar", SETTINGS["dp-ar"] | few, public, run, 5.0)
    first, second = (method.model.condition.asked(Conditions(1, (text,))) for text in ("a bar", ""))
    assert first.shape == second.shape == (1, 1, 5)
    assert (second < 0).all()


def test_an_encoder_of_captions_needs_captions(spec: DatasetSpec) -> None:
    for name in SETTINGS:
        plugin = METHODS.get(name)
        config: Any = build(plugin.Config, {"text.name": "t5"})
        assert plugin.track_of(config) == "foundation"
        with pytest.raises(ConfigError, match=r"text\.name=t5 encodes captions, and bars has none"):
            plugin.plan(config, spec, REQUEST)
        assert plugin.track_of(build(plugin.Config, {})) == "images"
