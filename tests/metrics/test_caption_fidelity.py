"""Caption fidelity: what holds of a text, and a judge trained for a few seconds that sees planted faults."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from captioned_scenes import captioned_scenes
from short_recipes import shorten

from dpbench.core.cache import PublicCache
from dpbench.core.captions import decode_captions
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.scene_captions import PUBLIC, SENSITIVE, Relation, Scene, Thing, first_scene, vocabulary_of
from dpbench.data.arrays import ArrayDataset, Subset
from dpbench.evaluation.evaluator import evaluate
from dpbench.evaluation.extraction import EvaluationCache
from dpbench.evaluation.real_parts import part_and_rest
from dpbench.evaluation.scores import Scores
from dpbench.metrics.caption_fidelity import ATTRIBUTES, holds, score
from dpbench.metrics.classifiers import scene_judge
from dpbench.metrics.classifiers.scene_judge import CELLS, Said, SceneJudge, Seen, judge_loss

STAR, RING = Thing("star", "red", "small", (0, 1)), Thing("ring", "blue", "large", (2, 1))
ABOVE = Relation(("red", "star"), ("blue", "ring"), "above")
TRUTH = Scene((STAR, RING), "rough")

CASES: dict[str, tuple[Scene, dict[str, list[bool]]]] = {
    "what is there": (
        Scene((STAR, replace(RING, size=None, cell=None)), "rough", (ABOVE,)),
        {"kind": [True, True], "colour": [True, True], "relation": [True], "size": [True], "place": [True],
         "ground": [True]},
    ),
    "another colour": (
        Scene((replace(STAR, colour="green"),), None),
        {"kind": [True], "colour": [False], "relation": [], "size": [True], "place": [True], "ground": []},
    ),
    "an object that is missing": (
        Scene((replace(STAR, shape="heart"),), "spotted"),
        {"kind": [False], "colour": [False], "relation": [], "size": [False], "place": [False], "ground": [False]},
    ),
    "the wrong way round": (
        Scene((replace(STAR, size="large"), replace(RING, cell=(0, 0))), None, (replace(ABOVE, kind="left"),
              replace(ABOVE, first=ABOVE.second, second=ABOVE.first))),
        {"kind": [True, True], "colour": [True, True], "relation": [False, False], "size": [False, True],
         "place": [True, False], "ground": []},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("said", "expected"), CASES.values(), ids=CASES)
def test_each_statement_is_held_against_what_is_seen(said: Scene, expected: dict[str, list[bool]]) -> None:
    assert holds(said, TRUTH) == expected


def test_the_score_counts_objects_colours_and_relations_alike() -> None:
    said = Scene((replace(STAR, colour="green"), RING), "spotted", (ABOVE,))
    assert score(holds(said, TRUTH)) == pytest.approx(4 / 5)  # of two kinds, two colours and one relation


def test_a_relation_needs_both_objects() -> None:
    assert holds(Scene((), None, (ABOVE,)), Scene((STAR,), None))["relation"] == [False]


def test_the_words_of_a_dataset_are_known_by_its_captions() -> None:
    assert vocabulary_of(["a red star\nred star, rough ground", "a blue ring"]) == SENSITIVE
    assert vocabulary_of(["an orange arch", "a pink disc"]) == PUBLIC
    assert vocabulary_of(["a red star", "an orange arch"]) is None
    assert vocabulary_of(["a man with a red star on his hat", ""]) is None


def test_the_loss_sums_over_the_cells_that_a_caption_leaves_open() -> None:
    torch.manual_seed(0)
    seen = Seen(*(torch.randn(2, count, CELLS) for count in (6, 6, 2)), torch.randn(2, 5))
    scenes = [Scene((STAR, replace(RING, size=None, cell=None)), "rough"), Scene((replace(RING, cell=None),), None)]
    where, colours, sizes = (part.softmax(dim) for part, dim in zip(seen[:3], (2, 1, 1), strict=True))
    likelihood = torch.tensor(1.0)
    for image, scene in enumerate(scenes):
        for thing in scene.things:
            shape, colour = SENSITIVE.shapes.index(thing.shape), SENSITIVE.colours.index(thing.colour)
            cells = range(CELLS) if thing.cell is None else [3 * thing.cell[0] + thing.cell[1]]
            size = {"small": sizes[image, 0], "large": sizes[image, 1], None: torch.ones(CELLS)}[thing.size]
            likelihood = likelihood * sum(where[image, shape, c] * colours[image, colour, c] * size[c] for c in cells)
        for number, shape in enumerate(SENSITIVE.shapes):
            there = seen.shapes[image, number].logsumexp(0).sigmoid()
            likelihood = likelihood * (there if shape in {t.shape for t in scene.things} else 1 - there)
    likelihood = likelihood * seen.ground.softmax(1)[0, 1]  # rough; the second caption says nothing
    assert float(judge_loss(seen, Said.of(scenes, SENSITIVE))) == pytest.approx(-float(likelihood.log()) / 2, rel=1e-4)


def test_what_is_seen_is_read_at_the_likeliest_cell() -> None:
    seen = Seen(*(torch.full((1, count, CELLS), -9.0) for count in (6, 6, 2)), torch.eye(5)[None, 3])
    seen.shapes[0, 0, 1], seen.colours[0, 2, 1], seen.sizes[0, 1, 1] = 3.0, 0.0, 0.0
    assert seen.scenes(SENSITIVE) == [Scene((Thing("star", "blue", "large", (0, 1)),), "checked")]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Scores]:
    """scored(images): their scores, with a judge that is trained once."""
    folder: Path = tmp_path_factory.mktemp("judge")
    train, reference = captioned_scenes(2400, 0), captioned_scenes(200, 1)

    def score_(synthetic: ImageDataset) -> Scores:
        run = RunContext("cpu", torch.Generator().manual_seed(0), PublicCache(folder / "public"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(scene_judge, "STEPS", 700)
            patch.setattr(scene_judge, "BATCH", 32)
            patch.setattr(scene_judge, "RATE", 4e-3)
            return evaluate(["caption-fidelity"], synthetic, reference, run, train, EvaluationCache(folder / "real"))

    return score_


def test_images_too_small_for_the_judge_have_a_reason(run) -> None:
    for size in (4, 8):
        sets = []
        for seed in range(3):
            scenes = captioned_scenes(12, seed)
            batch = scenes.batch(range(12))
            small, said = batch.images[..., 8 : 8 + size, 8 : 8 + size], decode_captions(batch.captions)
            sets.append(ArrayDataset(replace(scenes.spec, resolution=size), small, said))
        with pytest.MonkeyPatch.context() as patch:
            shorten(patch, 2)
            scores = evaluate(["caption-fidelity"], *sets[:2], run, sets[2])
        missing = scores.missing.get("caption_fidelity", "")
        assert missing == ("the judge of scenes needs a resolution of at least 5, not 4" if size == 4 else "")


@pytest.fixture(scope="module")
def fresh(scored: Callable[..., Scores]) -> Scores:
    return scored(captioned_scenes(200, 2))


def changed(change: Callable[[torch.Tensor], torch.Tensor] = lambda images: images,
            text: Callable[[str], str] = lambda text: text) -> ImageDataset:  # fmt: skip
    """The images of `fresh`, changed."""
    images = captioned_scenes(200, 2)
    batch = images.batch(range(200))
    return ArrayDataset(images.spec, change(batch.images), list(map(text, decode_captions(batch.captions))))


def test_the_judge_finds_what_captions_say(fresh: Scores) -> None:
    values = fresh.values
    assert values["caption_fidelity"] > 0.4
    assert values["caption_fidelity"] == pytest.approx(values["caption_fidelity_real"], abs=0.15)
    assert values["caption_fidelity_shuffled"] < values["caption_fidelity"] - 0.25
    assert values["caption_place"] > 0.4
    assert set(values) - {"caption_fidelity_real", "caption_fidelity_shuffled", "caption_fidelity"} == {
        f"caption_{name}" for name in ATTRIBUTES
    }
    assert 0 < fresh.ci95["caption_fidelity"] < 0.1


def test_other_colours_are_noticed_and_shapes_are_still_found(fresh: Scores, scored: Callable[..., Scores]) -> None:
    swapped = scored(changed(lambda images: images[:, [2, 0, 1]])).values
    assert swapped["caption_colour"] < fresh.values["caption_colour"] - 0.2
    assert swapped["caption_kind"] > swapped["caption_colour"] + 0.2


def test_turned_images_are_noticed(fresh: Scores, scored: Callable[..., Scores]) -> None:
    turned = scored(changed(lambda images: images.rot90(2, (2, 3)))).values
    assert turned["caption_relation"] < fresh.values["caption_relation"] - 0.15
    assert turned["caption_place"] < fresh.values["caption_place"] - 0.2


def test_prompts_without_objects_are_counted_and_left_out(scored: Callable[..., Scores]) -> None:
    number = itertools.count()
    scores = scored(changed(text=lambda text: "a sunset" if next(number) % 4 == 0 else text))
    assert "caption-fidelity: 50 of 200 prompts name no object and are left out" in scores.caveats
    assert scores.values["caption_fidelity"] > 0.4
    none = scored(changed(text=lambda text: "ein roter Stern 星" * 10))
    assert none.missing["caption_fidelity"] == "no prompt names an object that scenes can contain"


def test_an_attribute_that_no_prompt_states_has_no_value(scored: Callable[..., Scores]) -> None:
    scores = scored(changed(text=lambda text: "a red star"))
    assert scores.values["caption_ground"] is None
    assert scores.values["caption_kind"] is not None


def test_the_judge_never_sees_what_a_real_row_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene_judge, "STEPS", 2)
    asked: list[int] = []

    class Watched(Subset):
        def batch(self, indices: Sequence[int]):
            asked.extend(indices)
            return super().batch(indices)

    train = Watched(captioned_scenes(40, 0), np.arange(40))
    run = RunContext("cpu", torch.Generator().manual_seed(0), PublicCache(tmp_path))
    evaluate(["caption-fidelity"], captioned_scenes(8, 1), captioned_scenes(8, 2), run, train)
    assert asked
    assert not {*asked} & {*part_and_rest(train, 20)[0].positions.tolist()}


def described(text: str | None, seed: int) -> ImageDataset:
    """Scenes with another caption, or without any."""
    images = captioned_scenes(20, seed)
    spec = images.spec if text else replace(images.spec, caption_bytes=0)
    return ArrayDataset(spec, images.batch(range(20)).images, [text] * 20 if text else None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [(None, "the images have no captions or prompts"), ("a man rides a horse", "are not written like those of scenes")],
)
def test_other_datasets_have_no_score(text: str | None, reason: str, run: RunContext) -> None:
    scores = evaluate(["caption-fidelity"], described(text, 1), described(text, 2), run, described(text, 3))
    assert reason in scores.missing["caption_fidelity"]


def test_the_judge_takes_every_resolution() -> None:
    for size in (16, 64):
        assert SceneJudge(SENSITIVE)(torch.zeros(2, 3, size, size)).shapes.shape == (2, 6, CELLS)
    assert first_scene("", SENSITIVE) is None
