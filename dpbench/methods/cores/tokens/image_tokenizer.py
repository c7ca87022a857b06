"""A convolutional tokenizer of whole images: one grid of tokens, or several from coarse to fine.

With several grids, each quantises the residual of the coarser ones, all with one codebook (VAR, arXiv 2404.02905). Each
grid has its own projections between features and codes, so that codes of norm 1 describe residuals of any size (arXiv
2306.06546).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dpbench.methods.cores.tokens.codebook import Codebook
from dpbench.methods.cores.tokens.token_settings import ImageTokenizerSettings
from dpbench.methods.cores.tokens.tokenizer import Reconstruction, Tokenizer
from dpbench.models.residual_block import ResidualBlock


class Grid(NamedTuple):
    """One quantised grid of tokens.

    Attributes:
        vectors: [b, side², code_dim], before quantisation, of norm 1.
        tokens: int64 [b, side²].
        features: [b, width, h, w], the part of the features that the tokens describe.
        commitment: scalar loss; see `Codebook.quantise`.
    """

    vectors: Tensor
    tokens: Tensor
    features: Tensor
    commitment: Tensor


class ImageTokenizer(Tokenizer):
    """Images in [-1, 1] <-> grids of tokens, the coarsest grid first, raster order within a grid.

    Args:
        channels: image channels.
        sides: height and width of each grid; the last one has a token per patch.
        settings: sizes of the networks and of the codebook.
    """

    def __init__(self, channels: int, sides: Sequence[int], settings: ImageTokenizerSettings):
        super().__init__()
        s, self.channels, self.sides = settings, channels, tuple(sides)
        width, pixels = s.tokenizer_dim, channels * s.patch**2
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(s.patch),
            nn.Conv2d(pixels, width, 3, padding=1),
            *(ResidualBlock(width) for _ in range(s.tokenizer_depth)),
        )
        self.project = nn.ModuleList(nn.Conv2d(width, s.code_dim, 1) for _ in sides)
        self.codebook = Codebook(s.codes, s.code_dim)
        self.restore = nn.ModuleList(nn.Conv2d(s.code_dim, width, 1) for _ in sides)
        self.decoder = nn.Sequential(
            *(ResidualBlock(width) for _ in range(s.tokenizer_depth)),
            nn.Conv2d(width, pixels, 3, padding=1),
            nn.PixelShuffle(s.patch),
        )

    @property
    def vocabulary(self) -> int:
        """Number of token values, the same for all grids."""
        return len(self.codebook)

    @property
    def codebooks(self) -> dict[str, Codebook]:
        """See `Tokenizer.codebooks`."""
        return {"image": self.codebook}

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """See `Tokenizer.encode`."""
        return torch.cat([grid.tokens for grid in self._grids(images)], dim=1)

    def decode(self, tokens: Tensor) -> Tensor:
        """See `Tokenizer.decode`."""
        grids = self.codebook(tokens).split([side**2 for side in self.sides], dim=1)
        return self._decode([self._features(k, codes) for k, codes in enumerate(grids)])

    def reconstruct(self, images: Tensor, generator: torch.Generator) -> Reconstruction:
        """See `Tokenizer.reconstruct`."""
        grids = list(self._grids(images))
        made = self._decode([grid.features for grid in grids])
        self.codebook.update(torch.cat([grid.vectors.detach().flatten(0, 1) for grid in grids]), generator)
        return Reconstruction(made, torch.stack([grid.commitment for grid in grids]).mean())

    def _grids(self, images: Tensor) -> Iterator[Grid]:
        """The grids, each of the residual of the previous ones."""
        rest = self.encoder(images)
        for k, side in enumerate(self.sides):
            projected = self.project[k](F.adaptive_avg_pool2d(rest, side)).flatten(2).transpose(1, 2)
            vectors = F.normalize(projected.float(), dim=-1)
            tokens = self.codebook.nearest(vectors)
            codes, commitment = self.codebook.straight_through(vectors, tokens)
            features = self._features(k, codes)
            yield Grid(vectors, tokens, features, commitment)
            rest = rest - features

    def _features(self, k: int, codes: Tensor) -> Tensor:
        """The codes of grid k, [b, side², code_dim] -> their part of the features [b, width, h, w]."""
        grid = codes.transpose(1, 2).unflatten(2, (self.sides[k],) * 2)
        return F.interpolate(self.restore[k](grid), size=(self.sides[-1],) * 2, mode="bilinear")

    def _decode(self, features: Sequence[Tensor]) -> Tensor:
        return self.decoder(torch.stack(list(features)).sum(0))
