"""The captions of the generated dataset `scenes`: scenes, their wording, and how to read a text back into a scene.

A scene has one to three objects, each with a shape, a colour and a size, in different cells of a 3 x 3 grid, on a
ground with a pattern. `write` puts a scene into words; `read` parses a text in these words, which may say less.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dpbench.core.captions import split_captions

SIZES: Mapping[str, tuple[str, ...]] = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
"""Size -> the words for it."""

GROUNDS = ("cloudy", "rough", "striped", "checked", "spotted")
"""The patterns of the ground, in the order of `data.synthetic.procedural.PATTERNS`."""

PLACES = (
    ("at the top left", "at the top", "at the top right"),
    ("on the left", "in the centre", "on the right"),
    ("at the bottom left", "at the bottom", "at the bottom right"),
)
"""The words for each cell, by row and column."""

ABOVE, LEFT = ("above", "over"), ("left of", "to the left of")
BELOW, RIGHT = ("below", "under"), ("right of", "to the right of")

Cell = tuple[int, int]
"""(row, column) in the 3 x 3 grid, from the top left."""


@dataclass(frozen=True)
class Vocabulary:
    """The names of shapes and colours of one dataset of scenes."""

    shapes: tuple[str, ...]
    colours: tuple[str, ...]


SENSITIVE = Vocabulary(
    ("star", "ring", "square", "triangle", "heart", "cross"), ("red", "green", "blue", "yellow", "purple", "white")
)
"""The objects of `scenes`."""

PUBLIC = Vocabulary(
    ("disc", "crescent", "arrow", "bolt", "bar", "arch"), ("orange", "cyan", "pink", "lime", "brown", "grey")
)
"""The objects of its public companion: other shapes and colours, on the same grounds; all other words are the same."""


@dataclass(frozen=True)
class Thing:
    """One object of a scene. A text may leave the size and the cell open: then they are None."""

    shape: str
    colour: str
    size: str | None
    cell: Cell | None


@dataclass(frozen=True)
class Relation:
    """The position of one object relative to another: "above" or "left of".

    Attributes:
        first, second: (colour, shape) of both.
        kind: "above" or "left".
    """

    first: tuple[str, str]
    second: tuple[str, str]
    kind: str


@dataclass(frozen=True)
class Scene:
    """The content of a scene, or the part of it that a text states.

    Attributes:
        things: one to three objects.
        ground: its pattern; None where a text leaves it open.
        relations: between objects, as a text states them.
    """

    things: tuple[Thing, ...]
    ground: str | None
    relations: tuple[Relation, ...] = ()


def write(scene: Scene, choices: Sequence[float]) -> str:
    """One caption of a complete scene, in words and an order that `choices` select.

    With two or three objects, the first two stand in one row or column, and the caption states their relation.

    Args:
        scene: all sizes, cells and the ground are known.
        choices: at least 8 numbers in [0, 1).
    """
    pick = iter(choices)
    phrases = [_thing(thing, next(pick), next(pick)) for thing in scene.things]
    if len(phrases) == 1:
        said = f"{phrases[0]} {_place(scene.things[0])}"
    else:
        said = _pair(scene.things[0], scene.things[1], phrases[0], phrases[1], next(pick))
    if len(phrases) == 3:
        said = f"{said} and {phrases[2]} {_place(scene.things[2])}"
    return _chosen((f"{said}, {scene.ground} ground", f"{said} on {scene.ground} ground",
                    f"{scene.ground} background with {said}"), next(pick))  # fmt: skip


def read(text: str, vocabulary: Vocabulary) -> Scene:
    """The scene that a text describes in these words. Anything else in the text is ignored.

    Raises:
        ValueError: it names no object.
    """
    text = text.lower()
    shapes, colours = "|".join(vocabulary.shapes), "|".join(vocabulary.colours)
    sizes = "|".join(word for words in SIZES.values() for word in words)
    pattern = re.compile(rf"\b(?:(?P<size>{sizes}) )?(?P<colour>{colours}) (?P<shape>{shapes})\b")
    found = list(pattern.finditer(text))
    if not found:
        raise ValueError(f"'{text}' names no object")
    ends = [*(match.start() for match in found[1:]), len(text)]
    after = [text[match.end() : end].strip() for match, end in zip(found, ends, strict=True)]
    things = tuple(
        Thing(m["shape"], m["colour"], _size(m["size"]), _cell(rest)) for m, rest in zip(found, after, strict=True)
    )
    relations = [_relation(a, b, rest) for a, b, rest in zip(things, things[1:], after, strict=False)]
    ground = re.search(rf"\b({'|'.join(GROUNDS)})\b", text)
    return Scene(things, ground and ground[1], tuple(filter(None, relations)))


def first_scene(text: str, vocabulary: Vocabulary) -> Scene | None:
    """The scene of a record's first caption (see `core.captions`); None if it names no object."""
    try:
        return read((split_captions(text) or [""])[0], vocabulary)
    except ValueError:
        return None


def vocabulary_of(texts: Sequence[str]) -> Vocabulary | None:
    """The vocabulary in which the captions of all these records name objects; None if there is none."""
    return next((words for words in (SENSITIVE, PUBLIC) if all(first_scene(text, words) for text in texts)), None)


def _thing(thing: Thing, size: float, article: float) -> str:
    """ "a small red star", with one of the words for its size, or without it in one caption of four."""
    assert thing.size is not None
    word = _chosen(SIZES[thing.size], size)
    name = f"{thing.colour} {thing.shape}" if article < 0.25 else f"{word} {thing.colour} {thing.shape}"
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _place(thing: Thing) -> str:
    assert thing.cell is not None
    return PLACES[thing.cell[0]][thing.cell[1]]


def _pair(one: Thing, other: Thing, said: str, said_other: str, choice: float) -> str:
    """ "a red star above a blue ring", or the same the other way round."""
    assert one.cell is not None
    assert other.cell is not None
    forwards, backwards = (ABOVE, BELOW) if one.cell[1] == other.cell[1] else (LEFT, RIGHT)
    ways = [f"{said} {word} {said_other}" for word in forwards]
    return _chosen((*ways, *(f"{said_other} {word} {said}" for word in backwards)), choice)


def _chosen(ways: Sequence[str], choice: float) -> str:
    return ways[int(choice * len(ways))]


def _size(word: str | None) -> str | None:
    return next((size for size, words in SIZES.items() if word in words), None)


def _cell(rest: str) -> Cell | None:
    """The cell that is named right after an object."""
    cells = [(len(words), (row, column)) for row, line in enumerate(PLACES) for column, words in enumerate(line)
             if rest.startswith(words)]  # fmt: skip
    return max(cells)[1] if cells else None  # "at the top left" rather than "at the top"


def _relation(one: Thing, other: Thing, between: str) -> Relation | None:
    """The relation that the words between two objects state."""
    names = (one.colour, one.shape), (other.colour, other.shape)
    for kind, forwards, backwards in (("above", ABOVE, BELOW), ("left", LEFT, RIGHT)):
        if between.startswith(forwards):
            return Relation(*names, kind)
        if between.startswith(backwards):
            return Relation(names[1], names[0], kind)
    return None
