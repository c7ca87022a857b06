"""Characters of fonts as a simulator (Lin et al., arXiv 2502.05505, have one for MNIST)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dpbench.core.config import option
from dpbench.core.errors import ConfigError
from dpbench.generators.simulator import Simulator

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont
    from torch import Tensor

LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

FONTS = (
    "DejaVuSans", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSerif", "DejaVuSerif-Italic", "STIXGeneral",
    "STIXGeneralItalic", "cmr10", "cmss10", "cmtt10", "cmmi10", "cmti10",
)  # fmt: skip
"""Fonts shipped with matplotlib: DejaVu, STIX, and TeX's Computer Modern."""

OVERSAMPLING = 4
"""Pixels of a drawn character per pixel of an image."""

PARTS = 2
"""Kind and choice: the character, and the font."""


@dataclass(frozen=True)
class GlyphsConfig:
    """Settings of the glyphs."""

    characters: str = option(LETTERS, "characters that are drawn")
    height: float = option(0.62, "longer side of an upright character, as a share of the image side", above=0, high=1)
    angle: float = option(0.3, "largest rotation, in radians", low=0, high=math.pi)
    slant: float = option(0.4, "largest slant: horizontal shift per height", low=0, high=2)
    zoom: float = option(0.3, "largest change of a side, as the logarithm of a factor", low=0, high=2)
    shift: float = option(0.12, "largest shift, in halves of the image", low=0, high=1)

    def __post_init__(self) -> None:
        if len(set(self.characters)) < 2 or not self.characters.isprintable() or " " in self.characters:
            raise ConfigError("characters must be at least two different ones without spaces, e.g. 0123456789")


class Glyphs(Simulator[GlyphsConfig]):
    """Characters of 12 fonts, white on black, rotated, slanted, moved and of any stroke width; no trained model.

    A character is an image's kind, its font a choice; rotation, slant, width, height, position, stroke width and
    brightness are amounts. It uses no public images. It knows only the shapes of characters, so it cannot imitate data
    that show other things. The fonts are matplotlib's. Colour images get a grey character.
    """

    Config = GlyphsConfig
    paper = "arXiv 2502.05505"
    kinds = 1
    choices = 1
    amounts = 8

    @cached_property
    def _glyphs(self) -> Tensor:
        """Upright characters: float [characters, fonts, 1, h, w] in [0, 1]."""
        import torch

        fonts = [_font(name, OVERSAMPLING * self.shape[-1]) for name in FONTS]
        drawn = [_upright(c, f, self.shape[-1], self.config.height) for c in self.config.characters for f in fonts]
        return torch.stack(drawn).unflatten(0, (-1, len(fonts)))[:, :, None]

    def draw(self, parameters: Tensor) -> Tensor:
        """See `Simulator.draw`."""
        import torch.nn.functional as F

        glyphs = self._glyphs
        character, font = ((parameters[:, i] * glyphs.shape[i]).long() for i in range(PARTS))
        amounts = parameters[:, PARTS:] * 2 - 1  # in [-1, 1)
        grid = F.affine_grid(self._placement(amounts), [len(parameters), 1, *self.shape[1:]], align_corners=False)
        ink = F.grid_sample(glyphs[character, font], grid, align_corners=False)
        width, pressure = amounts[:, 6, None, None, None], 1.5 + amounts[:, 7, None, None, None] / 2
        wide, thin = F.max_pool2d(ink, 3, 1, 1), -F.max_pool2d(-ink, 3, 1, 1)  # by a pixel on every side
        ink = ink + width.clamp(min=0) * (wide - ink) + width.clamp(max=0) * (ink - thin) / 2
        return (ink * pressure * 255).clamp(0, 255).round().byte().expand(-1, self.shape[0], -1, -1)

    def _placement(self, amounts: Tensor) -> Tensor:
        """Affine maps from the image's coordinates to the upright character's: [n, 2, 3]."""
        import torch

        c = self.config
        angle, slant = c.angle * amounts[:, 0], c.slant * amounts[:, 1]
        across, down = (c.zoom * amounts[:, 2]).exp(), (c.zoom * amounts[:, 3]).exp()
        x, y = c.shift * amounts[:, 4], c.shift * amounts[:, 5]
        cos, sin = angle.cos(), angle.sin()
        rows = [cos * across, (slant * cos - sin) * across, x, sin * down, (cos + slant * sin) * down, y]
        return torch.stack(rows, dim=1).unflatten(1, (2, 3))


def _font(name: str, size: int) -> FreeTypeFont:
    import matplotlib
    from PIL import ImageFont

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"
    return ImageFont.truetype(str(path), size)


def _upright(character: str, font: FreeTypeFont, size: int, height: float) -> Tensor:
    """A centred character whose longer side is a share of the image's: float [size, size] in [0, 1]."""
    import numpy as np
    import torch
    from PIL import Image, ImageDraw

    left, top, right, bottom = font.getbbox(character)
    ink = Image.new("L", (max(1, int(right - left)), max(1, int(bottom - top))))
    ImageDraw.Draw(ink).text((-left, -top), character, fill=255, font=font)
    canvas = OVERSAMPLING * size
    scale = height * canvas / max(ink.size)
    ink = ink.resize((max(1, round(ink.width * scale)), max(1, round(ink.height * scale))), Image.Resampling.LANCZOS)
    page = Image.new("L", (canvas, canvas))
    page.paste(ink, ((canvas - ink.width) // 2, (canvas - ink.height) // 2))
    small = page.resize((size, size), Image.Resampling.BOX)
    return torch.from_numpy(np.array(small)).float() / 255
