"""Conditioning: similarity of images and their prompts (CLIPScore: Hessel et al., arXiv 2104.08718)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from dpbench.core.captions import decode_captions, split_captions
from dpbench.core.data import ImageDataset
from dpbench.core.errors import MissingScore
from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.evaluation import intervals as bootstrap
from dpbench.evaluation.labels import BATCH, labels_of
from dpbench.metrics.statistics.directions import directions

if TYPE_CHECKING:
    from dpbench.metrics.extractors.clip import CLIP

PROMPT = "a photo of a {}"


class CLIPScore(Metric):
    """CLIP similarity of images and their prompts.

    The mean over synthetic images of 100 · max(cos(image, prompt), 0), from CLIP's embeddings. The prompt of an image
    is the caption it was sampled with. On datasets with classes, it is "a photo of a {class}", with dashes and
    underscores in the class name replaced by spaces; `label_fidelity` measures the same with a classifier. The `real`
    row gives the score of real images, with the first caption of each.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("clip_score", "high", "CLIP cosine similarity of an image and its prompt, times 100"),
    )
    headline: ClassVar[bool] = False
    protocol: ClassVar[str] = f"v2, the first caption, or {PROMPT.format('{class}')}"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"clip_score": value}, in [0, 100].

        Raises:
            MissingScore: an image has neither a caption nor a class, or CLIP is not installed.
        """
        clip = cast("CLIP", evaluation.extractor("clip"))
        prompts = _captions(evaluation.synthetic) or _class_prompts(evaluation.synthetic, evaluation.spec.classes)
        texts, wanted = np.unique(prompts, return_inverse=True)
        prompted = directions(clip.text(texts.tolist()).cpu().numpy())
        cosines, start = [], 0
        for block in evaluation.synthetic_features("clip").blocks():
            cosines.append((directions(block) * prompted[wanted[start : start + len(block)]]).sum(1))
            start += len(block)
        return {"clip_score": bootstrap.mean(100 * np.maximum(np.concatenate(cosines), 0), evaluation.run.generator)}


def _captions(images: ImageDataset) -> list[str]:
    """The first caption of each image; [] if the dataset has none.

    Raises:
        MissingScore: an image has no caption.
    """
    if images.spec.condition != "captions":
        return []
    found: list[str] = []
    for start in range(0, len(images), BATCH):
        captions = images.batch(range(start, min(start + BATCH, len(images)))).captions
        texts = decode_captions(captions) if captions is not None else [""]
        if not all(texts):
            raise MissingScore("not every image has a caption or a prompt")
        found += [split_captions(text)[0] for text in texts]
    return found


def _class_prompts(images: ImageDataset, names: Sequence[str] | None) -> list[str]:
    """The prompt of each image's class.

    Raises:
        MissingScore: there are no classes, or the images have no labels.
    """
    if not names:
        raise MissingScore("the dataset has no captions or classes to make prompts from")
    labels = labels_of(images)
    if labels is None:
        raise MissingScore("the synthetic images have no labels to make prompts from")
    prompts = [PROMPT.format(re.sub("[-_]+", " ", name)) for name in names]
    return [prompts[label] for label in labels]
