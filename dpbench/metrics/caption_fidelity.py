"""Alignment of generated scenes with their prompts, by a judge that was trained on real scenes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dpbench.core.captions import decode_captions, split_captions
from dpbench.core.data import ImageDataset
from dpbench.core.errors import MissingScore
from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.core.scene_captions import PUBLIC, SENSITIVE, Scene, Thing, Vocabulary, read
from dpbench.core.specs import DatasetSpec
from dpbench.evaluation import intervals as bootstrap
from dpbench.evaluation.caveats import Caveat

if TYPE_CHECKING:
    from dpbench.metrics.classifiers.scene_judge import SceneJudge

VOCABULARIES = {"scenes": SENSITIVE, "still-lifes": PUBLIC}

VERSION = "scene judge v1: 1500 steps of 64 images, Adam 2e-3, cosine"
STEPS, BATCH, RATE = 1500, 64, 2e-3

MOST = 10_000
ROWS = 250

ASPECTS = ("objects", "colours", "relations", "places", "sizes", "grounds")
"""Kinds of statements, in the order of the columns; the first three make up the score."""

SCORED = 3


class CaptionFidelity(Metric):
    """Share of a prompt's objects, colours and relations that a judge finds in the image; for generated scenes.

    The judge is a small network trained on real scenes, on the half of train that no `real` row scores, and their
    captions. A prompt states objects (a colour with a shape), their colours, and relations between them; an image gets
    the share of these statements that hold for what the judge sees in it, and the score is the mean over images. The
    `real` row is the ceiling, `caption_floor` the score of the same images with the prompts of other ones.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("caption_fidelity", "high", "share of a prompt's objects, colours and relations found in the image"),
        Column("caption_floor", None, "the same with the prompts of other images"),
        Column("caption_objects", "high", "share of a prompt's objects found"),
        Column("caption_colours", "high", "share of a prompt's colours found"),
        Column("caption_relations", "high", "share of a prompt's relations that hold"),
        Column("caption_places", "high", "share of a prompt's places that hold"),
        Column("caption_sizes", "high", "share of a prompt's sizes that hold"),
        Column("caption_grounds", "high", "share of the prompts' grounds that hold"),
    )
    headline: ClassVar[bool] = False
    reads_train: ClassVar[bool] = True
    protocol: ClassVar[str] = f"v1, at most {MOST} images, {VERSION}"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """All columns, in [0, 1], with intervals over images.

        Raises:
            MissingScore: the dataset is not one of generated scenes, or the images have no prompts that name objects.
        """
        vocabulary = vocabulary_of(evaluation.spec)
        texts = captions(evaluation.synthetic, range(min(len(evaluation.synthetic), MOST)))
        scenes = [scene_of(text, vocabulary) for text in texts]
        known = np.flatnonzero([scene is not None for scene in scenes])
        if not len(known):
            raise MissingScore("no prompt names an object of this dataset")
        if len(known) < len(scenes):
            warnings.warn(f"{len(scenes) - len(known)} prompts name no object and are left out", Caveat, 2)
        judge = scene_judge(evaluation, vocabulary)
        said = [scene for scene in scenes if scene is not None]
        seen = judged(judge, evaluation, known.tolist(), vocabulary)
        held = [holds(*pair) for pair in zip(said, seen, strict=True)]
        swapped = [holds(*pair) for pair in zip(said[1:] + said[:1], seen, strict=True)]
        generator = evaluation.run.generator
        found = {
            "caption_fidelity": [score(statements) for statements in held],
            "caption_floor": [score(statements) for statements in swapped],
        }
        for aspect in ASPECTS:
            found[f"caption_{aspect}"] = [float(np.mean(s[aspect])) for s in held if s[aspect]]
        return {name: bootstrap.mean(np.array(values), generator) for name, values in found.items() if values}


Statements = Mapping[str, Sequence[bool]]
"""Aspect -> whether each statement of this kind holds."""


def score(statements: Statements) -> float:
    """The share of statements about objects, colours and relations that hold."""
    return float(np.mean([held for aspect in ASPECTS[:SCORED] for held in statements[aspect]]))


def vocabulary_of(spec: DatasetSpec) -> Vocabulary:
    """The words of a dataset of generated scenes, or of its hold-out.

    Raises:
        MissingScore: it is another dataset.
    """
    found = VOCABULARIES.get(spec.name.rpartition(":")[2])
    if found is None:
        raise MissingScore(f"captions can be checked for {', '.join(VOCABULARIES)}, whose words are known")
    return found


def captions(images: ImageDataset, indices: Sequence[int]) -> list[str]:
    """The text of each image.

    Raises:
        MissingScore: the images have none.
    """
    found = images.batch(indices).captions
    if found is None:
        raise MissingScore("the images have no prompts")
    return decode_captions(found)


def scene_of(text: str, vocabulary: Vocabulary) -> Scene | None:
    """What all captions of a record say together; None if they name no object."""
    scenes = []
    for caption in split_captions(text):
        try:
            scenes.append(read(caption, vocabulary))
        except ValueError:
            continue
    if not scenes:
        return None
    things = dict.fromkeys(thing for scene in scenes for thing in scene.things)
    relations = dict.fromkeys(relation for scene in scenes for relation in scene.relations)
    return Scene(tuple(things), next((s.ground for s in scenes if s.ground), None), tuple(relations))


def scene_judge(evaluation: Evaluation, vocabulary: Vocabulary) -> SceneJudge:
    """The judge of a dataset, trained on real images once, in evaluation mode."""
    import torch
    from torch import Tensor

    from dpbench.core.progress import track
    from dpbench.evaluation.real_parts import never_scored, whole_of
    from dpbench.metrics.classifiers import recipe
    from dpbench.metrics.classifiers.scene_judge import SceneJudge, judge_loss, kinds, stated

    train = evaluation.train

    def learn(generator: torch.Generator) -> Mapping[str, Tensor]:
        images, run = never_scored(train), evaluation.run
        with recipe.repeatable(generator, torch.device(run.device)):
            judge = SceneJudge(kinds(vocabulary)).to(run.device)
            optimizer = torch.optim.Adam(judge.parameters(), RATE)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
            for _ in track(run.progress, range(STEPS), "judge of real scenes", STEPS):
                chosen = torch.randint(len(images), (BATCH,), generator=generator).tolist()
                batch = images.batch(chosen)
                assert batch.images is not None
                assert batch.captions is not None
                scenes = [scene_of(text, vocabulary) or Scene((), None) for text in decode_captions(batch.captions)]
                seen = judge(recipe.scaled(batch.images.to(run.device)))
                loss = judge_loss(seen, stated(scenes, vocabulary))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        return judge.state_dict()

    key = [VERSION, whole_of(train).fingerprint, evaluation.spec.shape]
    judge = SceneJudge(kinds(vocabulary))
    judge.load_state_dict(evaluation.cached("scene-judge", key, learn))
    return judge.to(evaluation.run.device).eval()


def judged(judge: SceneJudge, evaluation: Evaluation, indices: Sequence[int], vocabulary: Vocabulary) -> list[Scene]:
    """What the judge sees in the synthetic images at `indices`."""
    import torch

    from dpbench.metrics.classifiers import recipe

    found: list[Scene] = []
    for start in range(0, len(indices), ROWS):
        images = evaluation.synthetic.batch(indices[start : start + ROWS]).images
        assert images is not None
        with torch.no_grad():
            found += judge(recipe.scaled(images.to(evaluation.run.device))).scenes(vocabulary)
    return found


def holds(said: Scene, seen: Scene) -> Statements:
    """Which statements of a text hold for what is seen in an image."""
    found = {(thing.colour, thing.shape): thing for thing in seen.things}
    named = [(thing, found.get((thing.colour, thing.shape))) for thing in said.things]
    pairs = [(found.get(r.first), found.get(r.second), AXES[r.kind]) for r in said.relations]
    return {
        "objects": [is_ is not None for _, is_ in named],
        "colours": [c in {thing.colour for thing in seen.things} for c in dict.fromkeys(t.colour for t in said.things)],
        "relations": [one is not None and two is not None and before(one, two, axis) for one, two, axis in pairs],
        "places": [is_ is not None and is_.cell == thing.cell for thing, is_ in named if thing.cell is not None],
        "sizes": [is_ is not None and is_.size == thing.size for thing, is_ in named if thing.size is not None],
        "grounds": [] if said.ground is None else [seen.ground == said.ground],
    }


AXES = {"above": 0, "left": 1}
"""Relation -> the coordinate of a cell, row or column, in which the first object comes first."""


def before(one: Thing, two: Thing, axis: int) -> bool:
    """Whether one object comes before another in a coordinate of their cells."""
    assert one.cell is not None
    assert two.cell is not None
    return one.cell[axis] < two.cell[axis]
