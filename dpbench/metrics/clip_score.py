"""Condition: how well images fit their prompts (CLIPScore: Hessel et al., arXiv 2104.08718)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from dpbench.core.errors import MissingScore
from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.evaluation import intervals as bootstrap
from dpbench.evaluation.labels import labels_at

if TYPE_CHECKING:
    from dpbench.metrics.extractors.clip import CLIP

PROMPT = "a photo of a {}"


class CLIPScore(Metric):
    """CLIP similarity of images and class prompts.

    The mean over synthetic images of 100 · max(cos(image, prompt), 0), from CLIP's embeddings. The prompt of an image
    is that of its class, "a photo of a {class}", with spaces for the dashes and underscores in the name of the class.
    What real images get is in the `real` row; a classifier's view of the same is label fidelity.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("clip_score", "high", "CLIP's cosine between an image and the prompt of its class, times 100"),
    )
    headline: ClassVar[bool] = False
    protocol: ClassVar[str] = PROMPT.format("{class}")

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"clip_score": value}, in [0, 100].

        Raises:
            MissingScore: the dataset or the synthetic images have no classes; CLIP is not here.
        """
        classes = evaluation.spec.classes
        if not classes:
            raise MissingScore("the dataset has neither captions nor classes to make prompts of")
        clip = cast("CLIP", evaluation.extractor("clip"))
        labels = labels_at(evaluation.synthetic, range(len(evaluation.synthetic)))
        if labels is None:
            raise MissingScore("the synthetic images have no labels to make prompts of")
        prompts = _directions(clip.text([PROMPT.format(re.sub("[-_]+", " ", name)) for name in classes]).cpu().numpy())
        images, _ = evaluation.features("clip")
        cosines, start = [], 0
        for block in images.blocks():
            wanted = prompts[labels[start : start + len(block)].numpy()]
            cosines.append((_directions(block) * wanted).sum(1))
            start += len(block)
        return {"clip_score": bootstrap.mean(100 * np.maximum(np.concatenate(cosines), 0), evaluation.run.generator)}


def _directions(embeddings: np.ndarray) -> np.ndarray:
    """[n, d] -> the same with unit norms."""
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
