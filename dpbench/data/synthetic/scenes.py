"""Generated scenes of several objects with captions, and their public companion."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dpbench.core.captions import join_captions
from dpbench.core.scene_captions import PUBLIC, SENSITIVE, Vocabulary, write
from dpbench.core.specs import DatasetSpec
from dpbench.data.synthetic.outlines import SHAPES, polygon_distance
from dpbench.data.synthetic.procedural import FILL_WIDTH, Array, Draws, Grid, blend, cover, fill, noise, to_bytes
from dpbench.data.synthetic.rendering import RenderedDataset
from dpbench.data.synthetic.scene_layout import LAYOUT_WIDTH, MOST, draw_layout

CAPTIONS, CHOICES = 3, 8
"""Number of captions of a scene, and of random numbers that choose the words of one caption."""

CELL = 0.6
"""Distance between the centres of neighbouring cells."""

RADIUS = np.array([0.15, 0.27], dtype=np.float32)
"""Half of the width of a small and of a large object."""

LIGHT = 3
"""Points per side of the noise that shades an object."""

Outline = Callable[[Array, Array], Array]


def _bar(x: Array, y: Array) -> Array:
    return polygon_distance([(-1, -0.3), (1, -0.3), (1, 0.3), (-1, 0.3)], x, y)


def _arch(x: Array, y: Array) -> Array:
    body = polygon_distance([(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)], x, y)
    hole = polygon_distance([(-0.4, -0.3), (0.4, -0.3), (0.4, 1), (-0.4, 1)], x, y)
    return np.maximum(body, -hole)


OUTLINES: dict[str, Outline] = {**SHAPES, "bar": _bar, "arch": _arch}
"""Shape -> signed distance in its own frame, in which it fills about [-1, 1]²."""

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.85, 0.15, 0.15), "green": (0.15, 0.65, 0.2), "blue": (0.2, 0.3, 0.9), "yellow": (0.95, 0.85, 0.2),
    "purple": (0.6, 0.2, 0.7), "white": (0.95, 0.95, 0.95), "orange": (0.95, 0.55, 0.1), "cyan": (0.2, 0.8, 0.85),
    "pink": (0.95, 0.6, 0.75), "lime": (0.65, 0.9, 0.25), "brown": (0.5, 0.3, 0.15), "grey": (0.6, 0.6, 0.6),
}  # fmt: skip
"""Colour -> red, green and blue in [0, 1]."""


class Scenes(RenderedDataset):
    """Scenes of one to three objects with captions, 64×64 colour, generated

    Stars, rings, squares, triangles, hearts and crosses in six colours and two sizes, in cells of a 3×3 grid, on a
    ground with one of five patterns: 50,000 + 10,000. Each record has three captions in varied words, such as "a small
    red star above a blue ring, striped ground" (`core.scene_captions`), so that the statements of a text can be checked
    in an image. A record depends only on its position in the split.
    """

    name = "scenes"
    version: ClassVar[int] = 1
    seed: ClassVar[int] = 3
    resolution = 64
    resolutions = (16, 256)
    classes = None
    caption_bytes: ClassVar[int] = 384
    n_train = 50_000
    n_test = 10_000
    widths = (LAYOUT_WIDTH, CAPTIONS * CHOICES, FILL_WIDTH + MOST * (LIGHT * LIGHT + 2))
    vocabulary: ClassVar[Vocabulary] = SENSITIVE

    def condition(self, labels: NDArray[np.int64], draws: Iterable[Draws]) -> list[str]:
        """See `RenderedDataset.condition`; the captions of each scene as one text."""
        return [text for several in draws for text in self._captions(several)][: len(labels)]

    def _captions(self, draws: Draws) -> list[str]:
        """`CAPTIONS` captions of each scene, as one text."""
        scenes = draw_layout(draws).scenes(self.vocabulary)
        choices = draws.take(CAPTIONS * CHOICES).reshape(-1, CAPTIONS, CHOICES).tolist()
        return [
            join_captions((write(scene, chosen) for chosen in several), self.caption_bytes)
            for scene, several in zip(scenes, choices, strict=True)
        ]

    def paint(self, draws: Draws, labels: NDArray[np.int64], grid: Grid) -> NDArray[np.uint8]:
        """Images of the scenes: uint8 [b, 3, h, w]."""
        layout = draw_layout(draws)
        draws.take(CAPTIONS * CHOICES)
        image = fill(draws, grid, draws.uniform(0.15, 0.35), saturation=0.08, strength=0.9, kind=layout.ground)
        palette = np.array([COLOURS[name] for name in self.vocabulary.colours], dtype=np.float32)
        for k in range(MOST):
            radius = RADIUS[layout.sizes[:, k]][:, None, None]
            x = grid.x - (CELL * (layout.columns[:, k, None, None] - 1) + draws.uniform(-0.06, 0.06))
            y = grid.y - (CELL * (layout.rows[:, k, None, None] - 1) + draws.uniform(-0.06, 0.06))
            distance = self._distance(
                layout.shapes[:, k], (x / radius).astype(np.float32), (y / radius).astype(np.float32)
            )
            light = 0.25 * (noise(draws, grid, LIGHT) - 0.5)
            above = palette[layout.colours[:, k]][:, :, None, None] + light[:, None]
            alpha = cover(distance * radius, grid.pixel) * (layout.count > k)[:, None, None].astype(np.float32)
            image = blend(image, above, alpha)
        return to_bytes(image)

    def _distance(self, shapes: NDArray[np.int64], x: Array, y: Array) -> Array:
        """Signed distances in the frames of the objects: [b, h, w]."""
        x, y = np.broadcast_arrays(x, y)
        found = np.empty(x.shape, dtype=np.float32)
        for kind, name in enumerate(self.vocabulary.shapes):
            of = shapes == kind
            found[of] = OUTLINES[name](x[of], y[of])
        return found

    @property
    def spec(self) -> DatasetSpec:
        """See `Dataset.spec`."""
        return DatasetSpec(
            self.name, 3, self.size, self.n_train, self.n_test, None, True, caption_bytes=self.caption_bytes
        )  # fmt: skip


class StillLifes(Scenes):
    """Public source: scenes of other objects in other colours, 64×64 colour, generated, told in the words of scenes

    Discs, crescents, arrows, bolts, bars and arches: 30,000 + 2,000; see `Scenes`. They share only sizes, places,
    relations and grounds with `scenes`.
    """

    public_only = True
    name = "still-lifes"
    seed: ClassVar[int] = 4
    n_train = 30_000
    n_test = 2_000
    vocabulary: ClassVar[Vocabulary] = PUBLIC
