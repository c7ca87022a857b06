"""CLIP score of images and their prompts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cosine_similarity

from dpbench.core.errors import MissingScore
from dpbench.core.specs import DatasetSpec
from dpbench.data.arrays import ArrayDataset
from dpbench.evaluation.evaluator import evaluate
from dpbench.metrics.clip_score import CLIPScore

CLASSES = ("cat", "ankle-boot")
PROMPTS = ["a photo of a cat", "a photo of a ankle boot"]


@pytest.fixture
def pair(publish, made_clip: Path, make_images, noise):
    """Synthetic images with labels, and a reference with named classes."""
    publish("clip", made_clip)
    labels = torch.tensor([0, 1, 1, 0, 1])
    sets = [make_images(noise(5, 3, seed=seed), labels, 2) for seed in (1, 2)]
    for each in sets:
        each.spec = replace(each.spec, classes=CLASSES)
    return sets


def test_the_score_is_the_mean_cosine_with_the_prompt_of_the_class(pair, evaluation) -> None:
    synthetic, reference = pair
    shared = evaluation(synthetic, reference)
    clip = shared.extractor("clip")
    cosines = cosine_similarity(clip(synthetic.images), clip.text(PROMPTS)[synthetic.labels])
    value, half = CLIPScore().compute(shared)["clip_score"]
    assert (cosines > 0).any()
    assert (cosines < 0).any()  # which count as 0
    assert value == pytest.approx(100 * float(cosines.clamp(min=0).mean()), rel=1e-5)
    assert half > 0
    assert not reference.asked


def test_captions_are_prompts_and_the_first_one_counts(publish, made_clip: Path, evaluation, noise) -> None:
    publish("clip", made_clip)
    spec = DatasetSpec("described", 3, 32, 4, 4, None, True, caption_bytes=64)
    images = noise(4, 3)
    texts = ["a cat", "a photo\na cat", "a cat", "many other things"]
    synthetic = ArrayDataset(spec, images, texts)
    shared = evaluation(synthetic, ArrayDataset(spec, noise(4, 3, seed=1), texts))
    clip = shared.extractor("clip")
    cosines = cosine_similarity(clip(images), clip.text(["a cat", "a photo", "a cat", "many other things"]))
    value, _ = CLIPScore().compute(shared)["clip_score"]
    assert value == pytest.approx(100 * float(cosines.clamp(min=0).mean()), rel=1e-5)


def test_every_image_needs_a_caption(publish, made_clip: Path, evaluation, noise) -> None:
    publish("clip", made_clip)
    spec = DatasetSpec("described", 3, 32, 2, 2, None, True, caption_bytes=64)
    with pytest.raises(MissingScore, match="not every image has a caption"):
        CLIPScore().compute(evaluation(ArrayDataset(spec, noise(2, 3), ["a cat", ""])))


def test_without_classes_there_are_no_prompts(pair, evaluation, noise) -> None:
    with pytest.raises(MissingScore, match="no captions or classes"):
        CLIPScore().compute(evaluation(noise(3, 3)))


def test_without_labels_there_are_no_prompts(pair, evaluation, make_images, noise) -> None:
    with pytest.raises(MissingScore, match="no labels"):
        CLIPScore().compute(evaluation(make_images(noise(3, 3)), pair[1]))


def test_without_weights_the_cell_says_how_to_get_them(make_images, noise, run) -> None:
    sets = [make_images(noise(4, 3, seed=seed), torch.tensor([0, 1, 0, 1]), 2) for seed in (1, 2)]
    scores = evaluate(["clip-score"], *sets, run)
    assert scores.missing == {"clip_score": "weights 'clip' are not installed; run `dpbench weights get clip`"}
    assert scores.protocol["clip-score"]["metric"] == "v2, the first caption, or a photo of a {class}"
