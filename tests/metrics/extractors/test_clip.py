"""CLIP against transformers' own model and processor."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from PIL.Image import Resampling
from transformers import CLIPImageProcessor, CLIPModel

from dpbench.core.errors import DataError, MissingScore
from dpbench.models.pretrained.finding import fingerprint


@pytest.fixture
def clip(publish, made_clip: Path, evaluation, noise):
    publish("clip", made_clip)
    return evaluation(noise(2, 3)).extractor("clip")


def relative(x: torch.Tensor, y: torch.Tensor) -> float:
    return float((x - y).norm() / y.norm())


@pytest.mark.parametrize("size", [28, 32, 64])
def test_image_embeddings_are_those_of_transformers(clip, made_clip: Path, noise, size: int) -> None:
    images = 60 + noise(3, 3, size) // 2  # nowhere near 0 and 255: transformers does not clip what it resizes in float
    model = CLIPModel.from_pretrained(made_clip).eval()
    prepare = CLIPImageProcessor(size=42, crop_size=42, resample=Resampling.BICUBIC)
    with torch.no_grad():
        pixels = prepare(list(images.float()), return_tensors="pt", input_data_format="channels_first")
        theirs = model.get_image_features(**pixels)
    theirs = getattr(theirs, "pooler_output", theirs)  # as from transformers 5 on
    ours = clip(images)
    assert ours.shape == (3, 16)
    assert relative(ours, theirs) < 1e-5
    assert not torch.allclose(ours.norm(dim=1), torch.ones(3), atol=0.05)  # not normalised


def test_text_embeddings_are_those_of_transformers_whatever_the_padding(clip, made_clip: Path) -> None:
    model = CLIPModel.from_pretrained(made_clip).eval()
    prompts = ["a photo", "a photo of a cat, and of many other things that do not fit"]
    together = clip.text(prompts)
    for prompt, ours in zip(prompts, together, strict=True):
        ids = torch.tensor([clip.tokens(prompt, truncation=True, max_length=12)["input_ids"]])
        assert ids.shape[1] <= 12
        with torch.no_grad():
            theirs = model.get_text_features(input_ids=ids)
        assert relative(ours, getattr(theirs, "pooler_output", theirs)[0]) < 1e-5


def test_many_texts_are_embedded_in_parts(clip, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["a cat", "a photo of many things", "a photo", "things"]
    together = clip.text(texts)
    monkeypatch.setattr("dpbench.metrics.extractors.clip.TEXTS", 3)
    assert relative(clip.text(texts), together) < 1e-6


def test_the_tokenizer_merges_as_its_files_say(clip) -> None:
    words = clip.tokens.convert_ids_to_tokens(clip.tokens("A  photo cat")["input_ids"])
    assert words == ["<|startoftext|>", "a</w>", "photo</w>", "cat</w>", "<|endoftext|>"]


def test_grey_images_count_as_colour_images_without_colour(clip, noise) -> None:
    grey = noise(2, 1)
    torch.testing.assert_close(clip(grey), clip(grey.expand(-1, 3, -1, -1)))


def test_floats_are_refused(clip) -> None:
    with pytest.raises(DataError, match=r"not torch.float32"):
        clip(torch.rand(2, 3, 32, 32))


def test_the_row_says_which_weights_and_what_size(clip) -> None:
    assert clip.description == f"clip-vit-large-patch14-336 {fingerprint('clip')}, 42 bicubic antialiased float clipped"


def test_without_weights_the_reason_names_the_command(evaluation, noise) -> None:
    with pytest.raises(MissingScore, match="weights 'clip' are not installed; run `dpbench weights get clip`"):
        evaluation(noise(2, 3)).extractor("clip")


def test_without_the_extra_the_reason_names_the_command(publish, made_clip, evaluation, noise, monkeypatch) -> None:
    publish("clip", made_clip)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingScore, match=r"transformers is not installed; `pip install 'dpbench\[hub\]'`"):
        evaluation(noise(2, 3)).extractor("clip")
