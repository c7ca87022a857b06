"""What captions of scenes say is what the scene contains."""

from __future__ import annotations

import random

import pytest

from dpbench.core.scene_captions import GROUNDS, PUBLIC, SENSITIVE, Relation, Scene, Thing, Vocabulary, read, write

STAR = Thing("star", "red", "small", (0, 1))
RING = Thing("ring", "blue", "large", (2, 1))
HEART = Thing("heart", "white", "large", (1, 2))


def always(choice: float) -> list[float]:
    return [choice] * 8


def test_captions_are_plain_sentences():
    assert write(Scene((STAR,), "striped"), always(0.3)) == "a small red star at the top, striped ground"
    assert write(Scene((STAR, RING), "rough"), always(0.0)) == "a red star above a blue ring, rough ground"
    assert (
        write(Scene((STAR, RING), "rough"), always(0.99))
        == "rough background with a huge blue ring under a tiny red star"
    )
    assert write(Scene((STAR, RING, HEART), "cloudy"), always(0.4)) == (
        "a little red star over a big blue ring and a big white heart on the right on cloudy ground"
    )


def test_the_article_fits_the_word():
    arch = Thing("arch", "orange", "small", (0, 0))
    assert write(Scene((arch,), "rough"), always(0.0)).startswith("an orange arch")


def test_a_text_may_leave_things_open():
    assert read("Blue heart", SENSITIVE) == Scene((Thing("heart", "blue", None, None),), None)
    assert read("two cats and a red star over a green ring", SENSITIVE).relations == (
        Relation(("red", "star"), ("green", "ring"), "above"),
    )


def test_the_longest_place_counts():
    assert read("a red star at the top left", SENSITIVE).things[0].cell == (0, 0)
    assert read("a red star at the top", SENSITIVE).things[0].cell == (0, 1)


@pytest.mark.parametrize("text", ["", "a red sky", "a star", "ein roter Stern", "星"])
def test_a_text_without_an_object_is_refused(text):
    with pytest.raises(ValueError, match="names no object"):
        read(text, SENSITIVE)


def _random_scene(draw: random.Random, vocabulary: Vocabulary) -> Scene:
    line = draw.randrange(3)
    cells = [(0, line), (2, line), (draw.randrange(3), (line + 1) % 3)]
    if draw.random() < 0.5:
        cells = [(column, row) for row, column in cells]
    shapes = draw.sample(vocabulary.shapes, 3)
    things = [
        Thing(shape, draw.choice(vocabulary.colours), draw.choice(("small", "large")), cell)
        for shape, cell in zip(shapes, cells, strict=True)
    ]
    return Scene(tuple(things[: draw.randint(1, 3)]), draw.choice(GROUNDS))


@pytest.mark.parametrize("vocabulary", [SENSITIVE, PUBLIC], ids=["sensitive", "public"])
def test_everything_that_a_caption_says_is_true_and_every_object_is_named(vocabulary):
    draw = random.Random(0)
    for _ in range(500):
        scene = _random_scene(draw, vocabulary)
        said = read(write(scene, [draw.random() for _ in range(8)]), vocabulary)
        known = {(thing.colour, thing.shape): thing for thing in scene.things}
        assert said.ground == scene.ground
        assert {(thing.colour, thing.shape) for thing in said.things} == known.keys()
        for thing in said.things:
            true = known[thing.colour, thing.shape]
            assert thing.size in (None, true.size)
            assert thing.cell in (None, true.cell)
        assert len(said.relations) == (len(scene.things) > 1)
        for relation in said.relations:
            (row, column), (other_row, other_column) = (known[name].cell for name in (relation.first, relation.second))
            assert (row < other_row) if relation.kind == "above" else (column < other_column)


def test_the_vocabularies_share_no_object_and_no_colour():
    assert not {*SENSITIVE.shapes, *SENSITIVE.colours} & {*PUBLIC.shapes, *PUBLIC.colours}
