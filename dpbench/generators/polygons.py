"""Coloured figures as a simulator, for colour images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dpbench.core.config import NoSettings
from dpbench.generators.simulator import Simulator

if TYPE_CHECKING:
    from torch import Tensor

CORNERS = 10

LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R 601)."""


class Polygons(Simulator[NoSettings]):
    """Star-shaped figures of ten corners on a ground that shades from one colour to another; no trained model.

    Outline, hole, position, size and the three colours are amounts. It uses no public images.
    """

    amounts = CORNERS + 14

    def draw(self, parameters: Tensor) -> Tensor:
        """See `Simulator.draw`."""
        import torch

        channels, size, _ = self.shape
        corners, hole, place, size_of, colours = parameters.split([CORNERS, 1, 2, 2, 9], dim=1)
        centres = (2 * torch.arange(size) + 1) / size - 1
        x = (centres[None, None, :] - (place[:, 0, None, None] - 0.5)) / (0.4 + 0.6 * size_of[:, 0, None, None])
        y = (centres[None, :, None] - (place[:, 1, None, None] - 0.5)) / (0.4 + 0.6 * size_of[:, 1, None, None])
        radius = (x.square() + y.square()).sqrt()
        edge = _edge(0.3 + 0.7 * corners, torch.atan2(y, x))
        inner = 0.8 * hole[:, :, None] - 0.4  # below 0: no hole
        sharpness = size / 2  # the outline's softness is a pixel
        figure = (0.5 + sharpness * (edge - radius)).clamp(0, 1) * (0.5 + sharpness * (radius - inner)).clamp(0, 1)
        fill, above, below = colours.unflatten(1, (3, 3, 1, 1)).unbind(1)
        shade = torch.linspace(0, 1, size)[None, None, :, None]
        ground = above + shade * (below - above)
        images = ground + figure[:, None] * (fill - ground)
        if channels == 1:
            images = (images * torch.tensor(LUMINANCE)[:, None, None]).sum(1, keepdim=True)
        return (images * 255).round().byte()


def _edge(corners: Tensor, angle: Tensor) -> Tensor:
    """Distance of the outline from the centre in given directions, linear between corners: [n, h, w].

    Args:
        corners: distances of the corners, [n, CORNERS], at equal angles.
        angle: directions, [n, h, w] in radians.
    """
    position = (angle / (2 * math.pi)).remainder(1) * CORNERS
    first = position.long() % CORNERS
    share = position - position.floor()
    flat = first.flatten(1)
    here, after = (corners.gather(1, (flat + i) % CORNERS).reshape(angle.shape) for i in (0, 1))
    return here + share * (after - here)
