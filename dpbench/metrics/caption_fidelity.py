"""Alignment of generated scenes with their prompts, by a judge trained on real scenes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from dpbench.core.captions import decode_captions
from dpbench.core.data import ImageDataset
from dpbench.core.errors import MissingScore
from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.core.scene_captions import Scene, Thing, Vocabulary, first_scene, vocabulary_of
from dpbench.evaluation import intervals as bootstrap
from dpbench.evaluation.caveats import Caveat
from dpbench.metrics.classifiers.versions import SCENE_JUDGE_VERSION

if TYPE_CHECKING:
    import torch

    from dpbench.metrics.classifiers.scene_judge import SceneJudge

CHUNK = 250
"""Images per call of the judge."""

PROBED = 100
"""Number of reference images whose captions are checked for the grammar of scenes."""

ATTRIBUTES = ("kind", "colour", "relation", "size", "place", "ground")
SCORED = ATTRIBUTES[:3]
"""The attributes whose statements make up the score."""

AXES = {"above": 0, "left": 1}
"""Relation -> the coordinate of a cell (row or column) in which the first object comes first."""

Held = Mapping[str, Sequence[bool]]
"""Attribute -> whether each of a text's statements about it holds for an image."""


class Pairs(NamedTuple):
    """Images whose first caption names an object: what the captions say, and what the judge sees.

    Attributes:
        said, seen: the scene in the caption and the scene that the judge sees, per image, in order.
        unread: number of images that are left out because their caption names no object.
    """

    said: Sequence[Scene]
    seen: Sequence[Scene]
    unread: int


class CaptionFidelity(Metric):
    """Share of a prompt's objects, colours and relations that a judge of real scenes finds in the image.

    The judge is a small network trained on real captioned scenes: the half of train that no `real` row scores. A prompt
    states kinds of objects, the colour of each, and relations between them. The score of an image is the share of these
    statements that hold for what the judge sees. Sizes, places and the ground have their own columns. A colour, a size
    or a place holds only if an object of that kind is there. Two more columns help to read the score: the score of the
    real test images with their first caption, which has only the judge's errors, and the score of the synthetic images
    with each other's prompts, which is the floor.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("caption_fidelity", "high", "share of a prompt's objects, colours and relations found in the image"),
        Column("caption_fidelity_real", None, "the same of real test images and their captions: the ceiling"),
        Column("caption_fidelity_shuffled", None, "the same with prompts of other images: the floor"),
        Column("caption_kind", "high", "share of the objects named in prompts that are found"),
        Column("caption_colour", "high", "share of the objects named in prompts that are found in their colour"),
        Column("caption_relation", "high", "share of the relations in prompts that hold"),
        Column("caption_size", "high", "share of the sizes in prompts that hold"),
        Column("caption_place", "high", "share of the places in prompts that hold"),
        Column("caption_ground", "high", "share of the grounds in prompts that are found"),
    )
    headline: ClassVar[bool] = False
    reads_train: ClassVar[bool] = True
    protocol: ClassVar[str] = f"v1, scene judge v{SCENE_JUDGE_VERSION} on half of train"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """All columns, in [0, 1], with intervals over images; NaN if no prompt states an attribute.

        Warns with a `Caveat` if prompts name no object: their images are left out.

        Raises:
            MissingScore: the captions do not describe scenes, no prompt names an object, or train is not available.
        """
        import torch

        from dpbench.metrics.classifiers.scene_judge import scene_judge

        vocabulary = _vocabulary(evaluation.reference)
        _texts(evaluation.synthetic, [0])
        judge = scene_judge(evaluation, vocabulary)
        said, seen, unread = _judged(evaluation.synthetic, judge, vocabulary, evaluation.run.device)
        real = _judged(evaluation.reference, judge, vocabulary, evaluation.run.device)
        if not said:
            raise MissingScore("no prompt names an object that scenes can contain")
        if unread:
            warnings.warn(f"{unread} of {len(evaluation.synthetic)} prompts name no object and are left out", Caveat, 2)
        generator = evaluation.run.generator
        others = torch.randperm(len(said), generator=generator).tolist()
        held = [holds(*pair) for pair in zip(said, seen, strict=True)]
        found = {
            "caption_fidelity": [score(each) for each in held],
            "caption_fidelity_real": [score(holds(*pair)) for pair in zip(real.said, real.seen, strict=True)],
            "caption_fidelity_shuffled": [score(holds(said[i], s)) for i, s in zip(others, seen, strict=True)],
        }
        for name in ATTRIBUTES:
            found[f"caption_{name}"] = [float(np.mean(each[name])) for each in held if each[name]]
        return {name: _mean(values, generator) for name, values in found.items()}


def holds(said: Scene, seen: Scene) -> Held:
    """Whether each statement of a text holds for the scene seen in an image, whose objects have different shapes."""
    found = {thing.shape: thing for thing in seen.things}
    named = [(thing, found.get(thing.shape)) for thing in said.things]
    related = [(found.get(r.first[1]), found.get(r.second[1]), AXES[r.kind]) for r in said.relations]
    return {
        "kind": [one is not None for _, one in named],
        "colour": [one is not None and one.colour == thing.colour for thing, one in named],
        "relation": [_in_order(*pair) for pair in related],
        "size": [one is not None and one.size == thing.size for thing, one in named if thing.size],
        "place": [one is not None and one.cell == thing.cell for thing, one in named if thing.cell],
        "ground": [seen.ground == said.ground] if said.ground else [],
    }


def score(held: Held) -> float:
    """The share of the statements about objects, colours and relations that hold."""
    return float(np.mean([each for name in SCORED for each in held[name]]))


def _in_order(one: Thing | None, other: Thing | None, axis: int) -> bool:
    """Whether both objects are there, and the first one comes first."""
    if one is None or other is None or one.cell is None or other.cell is None:
        return False
    return one.cell[axis] < other.cell[axis]


def _vocabulary(reference: ImageDataset) -> Vocabulary:
    """The words of the reference images' captions.

    Raises:
        MissingScore: there are no captions, or they are not written like those of scenes.
    """
    texts = _texts(reference, range(min(PROBED, len(reference))))
    found = vocabulary_of(texts)
    if found is None:
        raise MissingScore("the dataset's captions are not written like those of scenes, so they cannot be checked")
    return found


def _texts(images: ImageDataset, indices: Sequence[int]) -> list[str]:
    """The captions of each image as one text.

    Raises:
        MissingScore: the images have no captions.
    """
    captions = images.batch(indices).captions
    if captions is None:
        raise MissingScore("the images have no captions or prompts")
    return decode_captions(captions)


def _judged(images: ImageDataset, judge: SceneJudge, vocabulary: Vocabulary, device: str) -> Pairs:
    """What the first captions say and what the judge sees, for all images."""
    from dpbench.metrics.classifiers import recipe

    said: list[Scene] = []
    seen: list[Scene] = []
    for start in range(0, len(images), CHUNK):
        batch = images.batch(range(start, min(start + CHUNK, len(images))))
        assert batch.images is not None
        assert batch.captions is not None
        told = [first_scene(text, vocabulary) for text in decode_captions(batch.captions)]
        known = [i for i, scene in enumerate(told) if scene is not None]
        said += [scene for scene in told if scene is not None]
        seen += judge.scenes(recipe.scaled(batch.images[known].to(device)), vocabulary) if known else []
    return Pairs(said, seen, len(images) - len(said))


def _mean(values: Sequence[float], generator: torch.Generator) -> Estimate:
    return bootstrap.mean(np.array(values), generator) if values else Estimate(math.nan, math.nan)
