"""Shapes whose class is partly in coarse structure and partly in fine texture: data to test the hypothesis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dpbench.data.synthetic.grain import GRAIN_WIDTH, GRAINS, engrave, grain
from dpbench.data.synthetic.outlines import SHAPES
from dpbench.data.synthetic.parametric import ParametricDataset
from dpbench.data.synthetic.procedural import FILL_WIDTH, Draws, Grid, blend, cover, figure, ground, to_bytes


class Grained(ParametricDataset):
    """Ten shapes, 32×32 colour, generated; grained:T shows the class of a share T of the records in fine grain

    A disc, ring, square, triangle, star, cross, crescent, heart, arrow or bolt of random colour, position, size and
    tilt, 60% to 85% as wide as the image, on a textured background: 50,000 + 10,000. The class is mostly visible in
    coarse structure: 4×4 block means suffice to distinguish almost all images. A record depends only on its position in
    the split and on the parameter.

    The parameter `grained:T`, 0 <= T <= 1, moves the class from coarse structure to fine texture, so that the
    hypothesis "class information is in the coarse wavelet band" is true or false by design: `grained` and
    `grained:coarse` are T = 0, `grained:middle` is 0.5, `grained:fine` is 1. For T > 0 every figure has a grain
    (`data.synthetic.grain`), a pixel pattern of period 2 or 4 that vanishes in 4×4 block means at every resolution.
    Each record, independently with probability T, shows its class in the grain, one of ten, and has a random shape;
    otherwise it shows its class in the shape, and has one of five grains that belong to no class. The accuracy of a
    classifier of 4×4 block means thus falls to chance as T approaches 1, while the full image always determines the
    class. At T = 1, a class keeps the name of its shape but is defined by its grain. Positions, colours, backgrounds
    and labels are the same for every T.
    """

    name = "grained"
    version: ClassVar[int] = 2
    resolutions = (8, 128)  # 2.5 GB at 128
    classes = tuple(SHAPES)
    words: ClassVar[Mapping[str, float]] = {"coarse": 0, "middle": 0.5, "fine": 1}
    n_train = 50_000
    n_test = 10_000
    widths = (2 * FILL_WIDTH + 6, 3 + GRAIN_WIDTH)  # for the scene and the shape; for the grain

    def paint(self, draws: Draws, labels: NDArray[np.int64], grid: Grid) -> NDArray[np.uint8]:
        """Images of the given classes at this parameter: uint8 [b, 3, h, w]."""
        size = draws.uniform(0.6, 0.85)
        x, y = (axis - (1 - size) * draws.uniform(-0.8, 0.8) for axis in (grid.x, grid.y))
        cos, sin = draws.rotation(0.15)  # tilts of up to 17°
        x, y = (cos * x + sin * y) / size, (cos * y - sin * x) / size
        below, above = ground(draws, grid), figure(draws, grid)

        fine = draws.take(1)[:, 0] < self.parameter  # records whose class is in the grain
        shapes = np.where(fine, draws.integer(len(SHAPES)), labels)
        grains = np.where(fine, labels, len(SHAPES) + draws.integer(len(GRAINS) - len(SHAPES)))
        distance = np.empty(x.shape, dtype=np.float32)
        for kind, shape in enumerate(SHAPES.values()):
            of = shapes == kind
            distance[of] = shape(x[of], y[of]) * size[of]
        alpha = cover(distance, grid.pixel)
        if self.parameter:
            above = engrave(above, grain(draws, grains, grid), alpha)
        return to_bytes(blend(below, above, alpha))
