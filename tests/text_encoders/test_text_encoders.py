"""What single text encoders do beside what all of them promise (`tests/contracts`)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_text_encoders import SAVED

from dpbench.core.caption_tokens import NO_TOKEN, caption_tokens
from dpbench.core.config import build
from dpbench.core.errors import DataError, NotInstalled
from dpbench.core.registries import TEXT_ENCODERS


@pytest.mark.parametrize("name", SAVED)
def test_missing_and_damaged_weights_are_one_line(name: str, tmp_path: Path) -> None:
    plugin = TEXT_ENCODERS.get(name)
    with pytest.raises(NotInstalled, match="there is no folder"):
        plugin.weights_of(build(plugin.Config, {"weights": str(tmp_path / "nowhere")}))
    SAVED[name](tmp_path)
    config: Any = build(plugin.Config, {"weights": str(tmp_path)})
    before = plugin.weights_of(config)
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    assert plugin.weights_of(config) != before
    with pytest.raises(DataError, match="cannot load a") as raised:
        plugin(config)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", SAVED)
def test_stored_encoders_read_words_in_their_order(name: str, tmp_path: Path) -> None:
    plugin = TEXT_ENCODERS.get(name)
    SAVED[name](tmp_path)
    encoder = plugin(build(plugin.Config, {"weights": str(tmp_path)}))
    tokens = caption_tokens(["red star above blue ring", "blue star above red ring"], encoder.tokenize, 1, 12)[:, 0]
    assert (tokens[:, 0] == 1).all()  # marks of the beginning and of the end
    assert tokens[:, 6].tolist() == [2, 2]
    pooled = encoder.encode(tokens).pooled
    assert not torch.allclose(pooled[0], pooled[1], atol=1e-4)
    assert encoder.tokenize("a " * 5000, 5)[-1] == 2  # the end is kept where a text is cut


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = TEXT_ENCODERS.get("wordllama")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NotInstalled, match=r"wordllama is not installed; `pip install 'dpbench\[text\]'`"):
        plugin.weights_of(build(plugin.Config, {}))


def test_wordllama_knows_that_words_are_alike() -> None:
    pytest.importorskip("wordllama")
    plugin = TEXT_ENCODERS.get("wordllama")
    encoder = plugin(build(plugin.Config, {}))
    tokens = caption_tokens(["red", "orange", "above"], encoder.tokenize, 1, 4)[:, 0]
    red, orange, above = torch.nn.functional.normalize(encoder.encode(tokens).pooled)
    assert red @ orange > red @ above + 0.1


def test_hashed_words_are_the_same_in_any_case_and_script() -> None:
    plugin = TEXT_ENCODERS.get("hashed")
    encoder = plugin(build(plugin.Config, {}))
    assert encoder.tokenize("A Red STAR,", 9) == encoder.tokenize("a red star", 9)
    assert len(encoder.tokenize("猫 が", 9)) == 2
    assert encoder.tokenize(" ,.! ", 9) == []


def test_captions_without_tokens_and_beyond_the_limits_are_left_out() -> None:
    def words(text: str, length: int) -> list[int]:
        return [len(word) for word in text.split() if word != "!"][:length]

    tokens = caption_tokens(["!\na bb ccc\ndddd", "", "a\nb\nc"], words, 2, 2)
    assert tokens.tolist() == [[[1, 2], [4, NO_TOKEN]], [[NO_TOKEN] * 2] * 2, [[1, NO_TOKEN]] * 2]
