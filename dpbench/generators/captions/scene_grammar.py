"""Captions of random scenes, and captions of scenes with some parts redrawn, in the grammar of `scenes`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from dpbench.core.errors import ConfigError
from dpbench.core.scene_captions import GROUNDS, SIZES, Cell, Scene, Thing, read, vocabulary_of, write
from dpbench.generators.captions.caption_source import CaptionSource
from dpbench.generators.captions.captions_config import CaptionsConfig

COUNTS, SHARES = (1, 2, 3), (3, 4, 3)
"""Numbers of objects of a scene, and how often each occurs, in tenths."""

CHOICES = 8
"""Number of random values that choose the words of a caption."""


class SceneGrammar(CaptionSource):
    """Captions written by the grammar of the generated scenes (`core.scene_captions`), in the public vocabulary.

    A variation redraws each part of a scene with probability `degree`: the number of objects, their cells, the ground,
    and the shape, colour and size of each object. If anything changes, the words are also redrawn.
    """

    def __init__(self, captions: Sequence[str], config: CaptionsConfig):
        super().__init__(captions, config)
        words = vocabulary_of(captions)
        if words is None:
            raise ConfigError(
                "edits=scenes needs captions in the words of scenes or still-lifes, but these public captions use "
                "others; set edits=phrases"
            )
        self._words = words

    def random(self, draws: Random) -> str:
        """The caption of a random scene."""
        return _said(self._drawn(draws), draws)

    def varied(self, caption: str, degree: float, draws: Random) -> str:
        """See `CaptionSource.varied`. Anything that a caption leaves open, such as a size, is first drawn at random."""
        scene = self._settled(caption, draws)
        edited = self._edited(scene, degree, draws)
        return caption if edited == scene else _said(edited, draws)

    def _drawn(self, draws: Random) -> Scene:
        things: list[Thing] = []
        cells = _cells(_count(draws), draws)
        for cell in cells:
            things.append(replace(self._thing(things, draws), cell=cell))
        return Scene(tuple(things), draws.choice(GROUNDS))

    def _edited(self, scene: Scene, degree: float, draws: Random) -> Scene:
        """A scene whose parts are each redrawn with probability `degree`."""

        def anew() -> bool:
            return draws.random() < degree

        count = _count(draws) if anew() else len(scene.things)
        cells = [thing.cell for thing in scene.things]
        if anew() or count > len(cells):
            cells = list(_cells(count, draws))
        stay = sorted(draws.sample(range(len(scene.things)), min(count, len(scene.things))))
        things = [scene.things[k] for k in stay]
        while len(things) < count:
            things.append(self._thing(things, draws))
        for k in range(count):
            old, new = things[k], self._thing(things, draws)
            things[k] = Thing(
                new.shape if anew() else old.shape,
                new.colour if anew() else old.colour,
                new.size if anew() else old.size,
                cells[k],
            )
        return Scene(tuple(things), draws.choice(GROUNDS) if anew() else scene.ground)

    def _thing(self, others: Sequence[Thing], draws: Random) -> Thing:
        """A random object without a cell, with a shape that no object in `others` has."""
        taken = {thing.shape for thing in others}
        shape = draws.choice([shape for shape in self._words.shapes if shape not in taken])
        return Thing(shape, draws.choice(self._words.colours), draws.choice(tuple(SIZES)), None)

    def _settled(self, caption: str, draws: Random) -> Scene:
        """The scene that a caption describes, with random sizes, cells and ground where it states none."""
        said = read(caption, self._words)
        things = list(said.things)
        if said.relations and said.relations[0].first != (things[0].colour, things[0].shape):
            things[:2] = things[1::-1]
        return Scene(
            tuple(
                replace(thing, size=thing.size or draws.choice(tuple(SIZES)), cell=cell)
                for thing, cell in zip(things, _settled_cells(said, draws), strict=True)
            ),
            said.ground or draws.choice(GROUNDS),
        )


def _count(draws: Random) -> int:
    return draws.choices(COUNTS, SHARES)[0]


def _cells(count: int, draws: Random) -> tuple[Cell, ...]:
    """Random cells of 1 to 3 objects: one in any, two at the ends of a row or column, a third one outside of it."""
    if count == 1:
        return ((draws.randrange(3), draws.randrange(3)),)
    line, other = draws.sample(range(3), 2)
    return _placed(draws.random() < 0.5, line, (draws.randrange(3), other))[:count]


def _placed(in_column: bool, line: int, third: tuple[int, int]) -> tuple[Cell, ...]:
    """The ends of a column, and a cell (row, column); or the ends of a row, and a cell (column, row)."""
    cells = ((0, line), (2, line), third)
    return cells if in_column else tuple((row, column) for column, row in cells)


def _settled_cells(said: Scene, draws: Random) -> Sequence[Cell]:
    """The cells of a scene's objects as far as a text states them, the first of a pair first."""
    last = said.things[-1].cell
    if len(said.things) == 1 and last:
        return (last,)
    if not said.relations or (len(said.things) == 3 and not last):
        return _cells(len(said.things), draws)  # the text is truncated
    in_column = said.relations[0].kind == "above"
    third = last if in_column or last is None else (last[1], last[0])
    lines = [line for line in range(3) if third is None or line != third[1]]
    return _placed(in_column, draws.choice(lines), third or (0, 0))[: len(said.things)]


def _said(scene: Scene, draws: Random) -> str:
    return write(scene, [draws.random() for _ in range(CHOICES)])
