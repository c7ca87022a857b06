"""Every text encoder: shapes, padding, independence, the same values in every call, nothing read on the host."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from encoder_files import SAVED

from dpbench.core.caption_tokens import NO_TOKEN, caption_tokens
from dpbench.core.config import build
from dpbench.core.errors import DataError, NotInstalled
from dpbench.core.registries import TEXT_ENCODERS
from dpbench.core.specs import Batch
from dpbench.core.text_encoder import TextEncoder, joint_track
from dpbench.privacy.checks.guard import guarded

TEXTS = ("a red star above a blue ring", "a ring", "é", "猫が寝ている", "a " * 5000)
LENGTH = 6


def settings_of(name: str, folder: Path) -> dict[str, str]:
    if name == "wordllama" and importlib.util.find_spec("wordllama") is None:
        pytest.skip("wordllama is not installed")
    if name not in SAVED:
        return {}
    SAVED[name](folder)
    return {"weights": str(folder)}


@pytest.fixture(params=TEXT_ENCODERS.names())
def encoder(request: pytest.FixtureRequest, tmp_path: Path) -> TextEncoder[Any]:
    plugin = TEXT_ENCODERS.get(request.param)
    return plugin(build(plugin.Config, settings_of(request.param, tmp_path)))


def tokens_of(encoder: TextEncoder[Any], *texts: str) -> torch.Tensor:
    return caption_tokens(texts, encoder.tokenize, 1, LENGTH)[:, 0]


def test_texts_become_tokens_a_mask_and_one_vector(encoder: TextEncoder[Any]) -> None:
    tokens = tokens_of(encoder, *TEXTS, "")
    assert tokens.shape == (6, LENGTH)
    assert (tokens[-1] == NO_TOKEN).all()
    encoded = encoder.encode(tokens)
    assert encoded.tokens.shape == (6, LENGTH, encoder.dim)
    assert encoded.pooled.shape == (6, encoder.pooled_dim)
    assert torch.equal(encoded.mask, tokens >= 0)
    assert encoded.tokens[encoded.mask].isfinite().all()
    assert encoded.pooled[:-1].isfinite().all()


def test_different_words_have_different_vectors(encoder: TextEncoder[Any]) -> None:
    pooled = encoder.encode(tokens_of(encoder, "a red star", "a blue star", "a red star")).pooled
    assert not torch.allclose(pooled[0], pooled[1], atol=1e-3)
    assert torch.allclose(pooled[0], pooled[2])


def test_padding_and_other_texts_change_nothing(encoder: TextEncoder[Any]) -> None:
    alone = encoder.encode(tokens_of(encoder, "a red star")[:, :5])
    among = encoder.encode(tokens_of(encoder, TEXTS[0], "a red star", ""))
    real = alone.mask[0]
    assert torch.allclose(alone.tokens[0][real], among.tokens[1][:5][real], atol=1e-5)
    assert torch.allclose(alone.pooled[0], among.pooled[1], atol=1e-5)


def test_a_loss_may_encode(encoder: TextEncoder[Any]) -> None:
    records = Batch(condition=tokens_of(encoder, *TEXTS)[:, None])

    def pooled(batch: Batch) -> torch.Tensor:
        assert batch.condition is not None
        return encoder.encode(batch.condition[:, 0]).pooled

    assert guarded(pooled, records, "the loss").shape == (5, encoder.pooled_dim)


@pytest.mark.parametrize("name", TEXT_ENCODERS.names())
def test_weights_are_named_and_their_origin_is_the_track(name: str, tmp_path: Path) -> None:
    plugin = TEXT_ENCODERS.get(name)
    config: Any = build(plugin.Config, settings_of(name, tmp_path))
    weights = plugin.weights_of(config)
    assert plugin.track_of(config) == ("foundation" if weights else "none")
    assert all(len(digits) == 12 for digits in weights.values())
    assert bool(weights) == (name != "hashed")


@pytest.mark.parametrize("name", SAVED)
def test_missing_and_damaged_weights_are_one_line(name: str, tmp_path: Path) -> None:
    plugin = TEXT_ENCODERS.get(name)
    with pytest.raises(NotInstalled, match="there is no folder"):
        plugin.weights_of(build(plugin.Config, {"weights": str(tmp_path / "nowhere")}))
    config: Any = build(plugin.Config, settings_of(name, tmp_path))
    before = plugin.weights_of(config)
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    assert plugin.weights_of(config) != before
    with pytest.raises(DataError, match="cannot load a") as raised:
        plugin(config)
    assert "\n" not in str(raised.value)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = TEXT_ENCODERS.get("wordllama")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NotInstalled, match=r"wordllama is not installed; `pip install 'dpbench\[text\]'`"):
        plugin.weights_of(build(plugin.Config, {}))


def test_hashed_words_are_the_same_in_any_case_and_script() -> None:
    plugin = TEXT_ENCODERS.get("hashed")
    encoder = plugin(build(plugin.Config, {}))
    assert encoder.tokenize("A Red STAR,", 9) == encoder.tokenize("a red star", 9)
    assert len(encoder.tokenize("猫 が", 9)) == 2
    assert encoder.tokenize(" ,.! ", 9) == []


def test_the_track_of_several_parts_is_the_furthest() -> None:
    assert joint_track("images", "none") == "images"
    assert joint_track("images", "foundation", "none") == "foundation"
