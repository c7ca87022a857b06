"""The spectral tokenizer: images <-> discrete tokens, from coarse to fine (after SIT, arXiv 2412.09607).

Patches of Haar coefficients are embedded per scale, encoded by a transformer, quantised with one codebook for the
approximation and one for all details, decoded by a transformer, and projected back to coefficients. Attention is causal
over scales in the encoder and the decoder: the tokens of a scale do not depend on finer scales, and a prefix of scales
decodes to the image at that scale, independently of the tokens that follow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dpbench.methods.wavelet.codebook import Codebook
from dpbench.methods.wavelet.scale_sizes import Scales
from dpbench.methods.wavelet.scale_tokens import join, split
from dpbench.methods.wavelet.settings import TokenizerSettings


class PerKind(nn.Module):
    """A layer with separate weights for approximation and detail tokens.

    Args:
        make: constructs one layer that acts on the last dimension.
    """

    def __init__(self, make: Callable[[], nn.Module]):
        super().__init__()
        self.approximation = make()
        self.detail = make()

    def forward(self, x: Tensor, n: int) -> Tensor:
        """[b, t, d] -> [b, t, d']; the first `n` positions are approximation tokens."""
        if x.shape[1] == n:
            return self.approximation(x)
        return torch.cat([self.approximation(x[:, :n]), self.detail(x[:, n:])], dim=1)


class JointBlock(nn.Module):
    """Pre-norm attention over the tokens of all scales, with separate projections, norms and MLPs per kind."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1 = PerKind(lambda: nn.LayerNorm(dim))
        self.qkv = PerKind(lambda: nn.Linear(dim, 3 * dim))
        self.out = PerKind(lambda: nn.Linear(dim, dim))
        self.norm2 = PerKind(lambda: nn.LayerNorm(dim))
        self.mlp = PerKind(lambda: nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim)))

    def forward(self, x: Tensor, n: int, mask: Tensor) -> Tensor:
        """[b, t, dim] -> [b, t, dim]; `mask` [t, t] is true where a position (row) attends to another (column)."""
        b, t, dim = x.shape
        q, k, v = self.qkv(self.norm1(x, n), n).reshape(b, t, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, dim), n)
        return x + self.mlp(self.norm2(x, n), n)


class ScaleCausal(nn.Module):
    """A transformer in which tokens attend to all tokens of their own and coarser scales."""

    mask: Tensor

    def __init__(self, scales: Scales, inputs: int, outputs: int, dim: int, depth: int, heads: int):
        super().__init__()
        self.tokens = scales.tokens
        scale = torch.arange(len(scales)).repeat_interleave(self.tokens)
        self.register_buffer("mask", scale[:, None] >= scale[None, :], persistent=False)
        self.enter = PerKind(lambda: nn.Linear(inputs, dim))
        self.position = nn.Parameter(0.02 * torch.randn(len(scale), dim))
        self.blocks = nn.ModuleList(JointBlock(dim, heads) for _ in range(depth))
        self.norm = PerKind(lambda: nn.LayerNorm(dim))
        self.leave = PerKind(lambda: nn.Linear(dim, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """[b, t, inputs] -> [b, t, outputs]; t is a multiple of the tokens per scale."""
        t, n = x.shape[1], self.tokens
        x = self.enter(x, n) + self.position[:t]
        for block in self.blocks:
            x = block(x, n, self.mask[:t, :t])
        return self.leave(self.norm(x, n), n)


class Reconstruction(NamedTuple):
    """Output of a training pass: images [b, c, h, w] and the scalar commitment loss."""

    images: Tensor
    commitment: Tensor


class SpectralTokenizer(nn.Module):
    """Images in [-1, 1] <-> (L + 1) · N tokens, the coarsest scale first, raster order within a scale.

    Approximation tokens are 0 to `codes` - 1; detail tokens start at `codes`.

    Args:
        scales: sizes of the scales and patches.
        settings: sizes of the networks and codebooks.

    Attributes:
        spread: [L + 1], root mean square of the coefficients of each scale.
    """

    spread: Tensor

    def __init__(self, scales: Scales, settings: TokenizerSettings):
        super().__init__()
        self.scales, s = scales, settings
        dim, sizes = s.tokenizer_dim, [scale.size for scale in scales]
        shape = (dim, s.tokenizer_depth, s.tokenizer_heads)
        self.register_buffer("spread", torch.ones(len(scales)))
        self.embed = nn.ModuleList(nn.Linear(size, dim) for size in sizes)
        self.encoder = ScaleCausal(scales, dim, s.code_dim, *shape)
        self.approximation = Codebook(s.codes, s.code_dim)
        self.detail = Codebook(s.detail_codes, s.code_dim)
        self.decoder = ScaleCausal(scales, s.code_dim, dim, *shape)
        self.project = nn.ModuleList(nn.Linear(dim, size) for size in sizes)

    @property
    def vocabulary(self) -> int:
        """Number of token values of both kinds."""
        return len(self.approximation) + len(self.detail)

    def length(self, count: int) -> int:
        """Number of tokens in the first `count` scales of an image."""
        return count * self.scales.tokens

    def encode(self, images: Tensor, count: int = 0) -> Tensor:
        """Float [b, c, h, w] in [-1, 1] -> tokens of the first `count` scales (0: all), int64 [b, count · N]."""
        vectors, n = self._vectors(split(self.scales, images, count or len(self.scales))), self.scales.tokens
        approximation = self.approximation.nearest(vectors[:, :n])
        detail = self.detail.nearest(vectors[:, n:]) + len(self.approximation)
        return torch.cat([approximation, detail], dim=1)

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens int64 [b, count · N] -> float [b, c, side, side], nominally in [-1, 1].

        The tokens of fewer scales decode to a smaller image.
        """
        n = self.scales.tokens
        codes = [self.approximation(tokens[:, :n]), self.detail(tokens[:, n:] - len(self.approximation))]
        return join(self.scales, self._patches(torch.cat(codes, dim=1)))

    def reconstruct(self, images: Tensor, generator: torch.Generator) -> Reconstruction:
        """Encodes and decodes with gradients, and updates the codebooks; for training.

        Args:
            images: float [b, c, h, w] in [-1, 1].
            generator: draws the vectors that replace dead codes (CPU).
        """
        vectors, n = self._vectors(split(self.scales, images, len(self.scales))), self.scales.tokens
        approximation, c1 = self.approximation.quantise(vectors[:, :n], generator)
        detail, c2 = self.detail.quantise(vectors[:, n:], generator)
        decoded = join(self.scales, self._patches(torch.cat([approximation, detail], dim=1)))
        return Reconstruction(decoded, (c1 + self.scales.levels * c2) / len(self.scales))

    @torch.no_grad()
    def measure(self, images: Tensor) -> None:
        """Sets `spread` from images, float [b, c, h, w] in [-1, 1]; coefficients are divided by it."""
        patches = split(self.scales, images, len(self.scales))
        self.spread.copy_(torch.stack([p.square().mean().sqrt().clamp(min=1e-4) for p in patches]))

    def usage(self) -> dict[str, float]:
        """Share of each codebook in use; see `Codebook.usage`."""
        return {"approximation": self.approximation.usage(), "detail": self.detail.usage()}

    def _vectors(self, patches: list[Tensor]) -> Tensor:
        embedded = [embed(p / s) for embed, p, s in zip(self.embed, patches, self.spread, strict=False)]
        return self.encoder(torch.cat(embedded, dim=1))

    def _patches(self, codes: Tensor) -> list[Tensor]:
        parts = self.decoder(codes).split(self.scales.tokens, dim=1)
        return [project(x) * s for project, x, s in zip(self.project, parts, self.spread, strict=False)]
