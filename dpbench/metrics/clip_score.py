"""Conditioning: similarity of images and their prompts (CLIPScore: Hessel et al., arXiv 2104.08718)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from dpbench.core.errors import MissingScore
from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.evaluation import intervals as bootstrap

if TYPE_CHECKING:
    from dpbench.metrics.extractors.clip import CLIP

PROMPT = "a photo of a {}"


class CLIPScore(Metric):
    """CLIP similarity of images and class prompts.

    The mean over synthetic images of 100 · max(cos(image, prompt), 0), from CLIP's embeddings. The prompt of an image
    is "a photo of a {class}" for its class, with dashes and underscores in the class name replaced by spaces. The
    `real` row gives the score of real images. `label_fidelity` measures the same with a classifier.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("clip_score", "high", "CLIP cosine similarity of an image and the prompt of its class, times 100"),
    )
    headline: ClassVar[bool] = False
    protocol: ClassVar[str] = "v1, " + PROMPT.format("{class}")

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"clip_score": value}, in [0, 100].

        Raises:
            MissingScore: the dataset or the synthetic images have no classes, or CLIP is not installed.
        """
        classes = evaluation.spec.classes
        if not classes:
            raise MissingScore("the dataset has no classes to make prompts from")
        clip = cast("CLIP", evaluation.extractor("clip"))
        images, _ = evaluation.features("clip")
        if images.labels is None:
            raise MissingScore("the synthetic images have no labels to make prompts from")
        prompts = _directions(clip.text([PROMPT.format(re.sub("[-_]+", " ", name)) for name in classes]).cpu().numpy())
        cosines, start = [], 0
        for block in images.blocks():
            wanted = prompts[images.labels[start : start + len(block)]]
            cosines.append((_directions(block) * wanted).sum(1))
            start += len(block)
        return {"clip_score": bootstrap.mean(100 * np.maximum(np.concatenate(cosines), 0), evaluation.run.generator)}


def _directions(embeddings: np.ndarray) -> np.ndarray:
    """Embeddings [n, d], each divided by its L2 norm."""
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
