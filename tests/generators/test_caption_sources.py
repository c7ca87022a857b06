"""Where captions come from, and how they are varied: the grammar of scenes, phrases, a language model."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from tiny_text_encoders import WORDS, save_clip, save_masked_model

from dpbench.core.config import build
from dpbench.core.errors import ConfigError, DataError, NotInstalled
from dpbench.core.scene_captions import PUBLIC, SENSITIVE, Scene, read
from dpbench.generators.captioned import SOURCES
from dpbench.generators.captions.captions_config import CaptionsConfig

SCENES = ("a small orange disc above a pink arch, striped ground", "rough background with a cyan bolt on the left")

FREE = ("two dogs run on the wet grass", "a dog sleeps on the old sofa", "two cats sleep near the old sofa",
        "a cat runs near the wet grass")  # fmt: skip


def source(edits, captions, **settings):
    return SOURCES[edits](captions, build(CaptionsConfig, {"edits": edits, **settings}))


@pytest.fixture(scope="module")
def grammar():
    return source("scenes", SCENES)


@pytest.fixture(scope="module")
def scenes(grammar):
    draws = Random(1)
    return [grammar.random(draws) for _ in range(600)]


def changes(before: str, after: str) -> int:
    """How many things that one caption says the other one does not say."""
    said, now = (read(text, PUBLIC) for text in (before, after))
    objects = {(t.colour, t.shape) for t in said.things} - {(t.colour, t.shape) for t in now.things}
    return len(objects) + (said.ground != now.ground) + (said.relations != now.relations)


def check_grammatical(caption: str) -> Scene:
    """Checks that a caption says all that a caption of the grammar says, of a scene that the grammar allows."""
    scene = read(caption, PUBLIC)
    assert len({thing.shape for thing in scene.things}) == len(scene.things) <= 3
    assert scene.ground
    assert len(scene.relations) == (len(scene.things) > 1)
    assert bool(scene.things[-1].cell) == (len(scene.things) != 2)
    assert len(caption.encode()) <= CaptionsConfig().caption_bytes
    return scene


def test_scenes_of_the_grammar_are_as_often_as_large_as_those_of_the_dataset(scenes):
    counts = [len(check_grammatical(caption).things) for caption in scenes]
    assert [counts.count(k) / 600 for k in (1, 2, 3)] == pytest.approx([0.3, 0.4, 0.3], abs=0.06)
    assert len(set(scenes)) > 590


def test_the_grammar_speaks_in_the_words_of_the_public_captions(scenes):
    for caption in scenes:
        with pytest.raises(ValueError, match="names no object"):
            read(caption, SENSITIVE)
    sensitive = source("scenes", ["a red star on the left, rough ground"])
    assert read(sensitive.random(Random(0)), SENSITIVE).things


@pytest.mark.parametrize("degree", [0.1, 1.0])
def test_variations_of_scenes_stay_in_the_grammar(grammar, scenes, degree):
    draws = Random(2)
    varied = [grammar.varied(caption, degree, draws) for caption in scenes]
    for caption in varied:
        check_grammatical(caption)
    counts = [[len(read(text, PUBLIC).things) for text in texts] for texts in (scenes, varied)]
    assert {a - b for a, b in zip(*counts, strict=True)} >= {-1, 0, 1}  # objects come and go


def test_variations_of_scenes_are_near_at_small_degrees(grammar, scenes):
    draws = Random(3)
    assert [grammar.varied(caption, 1e-9, draws) for caption in scenes] == scenes
    mean = [
        sum(changes(text, grammar.varied(text, degree, draws)) for text in scenes) / 600 for degree in (0.03, 0.1, 0.3)
    ]
    assert 0.1 < mean[0] < 0.4 < mean[1] < 1.0 < mean[2]
    others = sum(changes(text, other) for text, other in pairwise(scenes)) / 599
    assert sum(changes(text, grammar.varied(text, 1.0, draws)) for text in scenes) / 600 > 0.9 * others


def test_what_a_caption_leaves_open_is_settled_and_the_rest_stays(grammar, scenes):
    draws = Random(4)
    for caption in scenes:
        said, scene = read(caption, PUBLIC), grammar._settled(caption, draws)
        assert all(thing.size and thing.cell for thing in scene.things)
        assert len({thing.cell for thing in scene.things}) == len(scene.things)
        assert {(t.shape, t.colour) for t in said.things} == {(t.shape, t.colour) for t in scene.things}
        stated = {(t.shape, t.size) for t in said.things if t.size}
        assert stated <= {(t.shape, t.size) for t in scene.things}
        if said.things[-1].cell:
            assert scene.things[-1].cell == said.things[-1].cell
        for relation in said.relations:
            first, second = (thing.cell for thing in scene.things[:2])
            assert (scene.things[0].colour, scene.things[0].shape) == relation.first
            along, across = (0, 1) if relation.kind == "above" else (1, 0)
            assert (first[along], second[along]) == (0, 2)
            assert first[across] == second[across]
            assert all(thing.cell[across] != first[across] for thing in scene.things[2:])


def test_a_caption_that_is_cut_is_settled_at_random(grammar):
    scene = grammar._settled("a small orange disc", Random(0))
    assert scene.things[0].cell
    assert scene.ground


def test_the_grammar_refuses_captions_in_other_words():
    with pytest.raises(ConfigError, match="edits=phrases"):
        source("scenes", [*SCENES, "a dog"])


def test_phrases_are_exchanged_for_those_that_public_captions_have_there():
    phrases, draws = source("phrases", FREE), Random(0)
    pairs = {pair for text in FREE for pair in pairwise(["", *text.split(), ""])}
    varied = {phrases.varied(text, degree, draws) for text in FREE for degree in (0.2, 1.0) for _ in range(200)}
    assert all(pair in pairs for text in varied for pair in pairwise(["", *text.split(), ""]))
    assert "a dog runs near the wet grass" not in FREE
    assert any(text not in FREE for text in varied)
    assert "" not in varied
    assert {phrases.random(draws) for _ in range(100)} == set(FREE)


def test_phrases_are_exchanged_more_often_at_larger_degrees():
    phrases, draws = source("phrases", FREE), Random(0)
    assert phrases.varied(FREE[0], 1e-9, draws) == FREE[0]
    same = [sum(phrases.varied(FREE[0], degree, draws) == FREE[0] for _ in range(500)) for degree in (0.05, 0.3, 1.0)]
    assert same[0] > 300
    assert same[0] > same[1] > same[2]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    save_masked_model(folder, likely="blue")
    return folder


def test_a_language_model_fills_in_masked_words(bert):
    model, draws = source("language-model", ["a red star above a ring"], language_model=str(bert)), Random(0)
    assert model.random(draws) == "a red star above a ring"
    assert model.varied("a red star above a ring", 1e-9, draws) == "a red star above a ring"
    assert model.varied("a red star above a ring", 1.0, draws) == "blue blue blue blue blue blue"
    one = [model.varied("a red star above a ring", 0.2, draws).split() for _ in range(100)]
    original = ["a", "red", "star", "above", "a", "ring"]
    assert all(word in ("blue", given) for words in one for word, given in zip(words, original, strict=True))
    assert 80 < sum(words.count("blue") for words in one) < 160  # 6 words × 0.2 × 100


def test_words_that_a_language_model_does_not_see_stay(bert):
    words = ["red"] * 40  # it sees 12 tokens, two of them marks
    model = source("language-model", ["a red star"], language_model=str(bert))
    assert model.varied(" ".join(words), 1.0, Random(0)).split() == ["blue"] * 10 + words[10:]


def test_a_language_model_fills_in_words_alone_and_draws_among_likely_ones(tmp_path):
    save_masked_model(tmp_path, likely="")
    model = source("language-model", ["a red star"], language_model=str(tmp_path))
    words = [word for seed in range(60) for word in model.varied("a red star", 1.0, Random(seed)).split()]
    assert set(words) <= {*WORDS}
    assert len(set(words)) > 3


def test_a_language_model_is_named_and_moves_the_row_to_foundation(bert):
    config = build(CaptionsConfig, {"edits": "language-model", "language_model": str(bert)})
    (digits,) = SOURCES["language-model"].weights_of(config).values()
    assert len(digits) == 12
    assert [SOURCES[edits].track for edits in ("phrases", "scenes", "language-model")] == ["images"] * 2 + [
        "foundation"
    ]
    assert SOURCES["phrases"].weights_of(CaptionsConfig()) == {}


def test_missing_and_other_language_models_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="set both edits=language-model and language_model=FOLDER"):
        build(CaptionsConfig, {"edits": "language-model"})
    with pytest.raises(ConfigError, match="or neither"):
        build(CaptionsConfig, {"language_model": "bert"})
    with pytest.raises(NotInstalled, match="hf download"):
        source("language-model", ["a dog"], language_model="nobody/nothing")
    (tmp_path / "clip").mkdir()
    save_clip(tmp_path / "clip")
    with pytest.raises(DataError, match="cannot load a masked language model"):
        source("language-model", ["a dog"], language_model=str(tmp_path / "clip"))
