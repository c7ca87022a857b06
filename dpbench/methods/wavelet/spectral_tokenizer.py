"""The spectral tokenizer: images <-> discrete tokens, from coarse to fine (after SIT, arXiv 2412.09607).

Patches of Haar coefficients are embedded per scale, encoded by a transformer, quantised with one codebook for the
approximation and one for all details, decoded by a transformer, and projected back to coefficients. Attention is causal
over scales in the encoder and the decoder: the tokens of a scale do not depend on finer scales, and a prefix of scales
decodes to the image at that scale, independently of the tokens that follow.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dpbench.core.context import RunContext
from dpbench.methods.cores.tokens.codebook import Codebook
from dpbench.methods.cores.tokens.token_settings import TokenizerTraining
from dpbench.methods.cores.tokens.tokenizer import Reconstruction, Tokenizer
from dpbench.methods.wavelet.scale_sizes import Scales
from dpbench.methods.wavelet.scale_tokens import join, split
from dpbench.methods.wavelet.settings import TokenizerSettings
from dpbench.training.public_batches import PublicBatches

MEASURED_IMAGES = 2_000
"""Number of images used to measure the coefficient scale of each band."""


class PerKind(nn.Module):
    """A layer with separate weights for approximation and detail tokens.

    Args:
        details: whether there are detail tokens.
        make: constructs one layer that acts on the last dimension.
    """

    def __init__(self, details: bool, make: Callable[[], nn.Module]):
        super().__init__()
        self.approximation = make()
        self.detail = make() if details else None

    def forward(self, x: Tensor, n: int) -> Tensor:
        """[b, t, d] -> [b, t, d']; the first `n` positions are approximation tokens."""
        if self.detail is None or x.shape[1] == n:
            return self.approximation(x)
        return torch.cat([self.approximation(x[:, :n]), self.detail(x[:, n:])], dim=1)


class JointBlock(nn.Module):
    """Pre-norm attention over the tokens of all scales, with separate projections, norms and MLPs per kind."""

    def __init__(self, dim: int, heads: int, details: bool):
        super().__init__()
        self.heads = heads
        self.norm1 = PerKind(details, lambda: nn.LayerNorm(dim))
        self.qkv = PerKind(details, lambda: nn.Linear(dim, 3 * dim))
        self.out = PerKind(details, lambda: nn.Linear(dim, dim))
        self.norm2 = PerKind(details, lambda: nn.LayerNorm(dim))
        self.mlp = PerKind(details, lambda: nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim)))

    def forward(self, x: Tensor, n: int, mask: Tensor) -> Tensor:
        """[b, t, dim] -> [b, t, dim]; `mask` [t, t] is true where a position (row) attends to another (column)."""
        b, t, dim = x.shape
        q, k, v = self.qkv(self.norm1(x, n), n).reshape(b, t, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, dim), n)
        return x + self.mlp(self.norm2(x, n), n)


class ScaleCausal(nn.Module):
    """A transformer in which tokens attend to all tokens of their own and coarser scales.

    Args:
        tokens: tokens per scale.
        scales: number of scales.
        inputs: dimension of the inputs.
        outputs: dimension of the outputs.
        dim: width.
        depth: number of blocks.
        heads: number of attention heads.
    """

    mask: Tensor

    def __init__(self, tokens: int, scales: int, inputs: int, outputs: int, dim: int, depth: int, heads: int):
        super().__init__()
        self.tokens = tokens
        scale, details = torch.arange(scales).repeat_interleave(tokens), scales > 1
        self.register_buffer("mask", scale[:, None] >= scale[None, :], persistent=False)
        self.enter = PerKind(details, lambda: nn.Linear(inputs, dim))
        self.position = nn.Parameter(0.02 * torch.randn(len(scale), dim))
        self.blocks = nn.ModuleList(JointBlock(dim, heads, details) for _ in range(depth))
        self.norm = PerKind(details, lambda: nn.LayerNorm(dim))
        self.leave = PerKind(details, lambda: nn.Linear(dim, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """[b, t, inputs] -> [b, t, outputs]; t is a multiple of the tokens per scale."""
        t, n = x.shape[1], self.tokens
        x = self.enter(x, n) + self.position[:t]
        for block in self.blocks:
            x = block(x, n, self.mask[:t, :t])
        return self.leave(self.norm(x, n), n)


class SpectralTokenizer(Tokenizer):
    """Images in [-1, 1] <-> `depth` · N tokens, the coarsest scale first, raster order within a scale.

    Approximation tokens are 0 to `codes` - 1; detail tokens start at `codes`.

    Args:
        scales: sizes of the scales and patches.
        settings: sizes of the networks and codebooks.
        depth: number of scales that have tokens, from 1 (the LL band alone) to L + 1; 0 for all.

    Attributes:
        spread: [depth], root mean square of the coefficients of each scale.
    """

    spread: Tensor

    def __init__(self, scales: Scales, settings: TokenizerSettings, depth: int = 0):
        super().__init__()
        self.scales, self.channels, s = scales, scales.channels, settings
        self.depth = depth or len(scales)
        dim, sizes = s.tokenizer_dim, [scale.size for scale in scales][: self.depth]
        shape = (dim, s.tokenizer_depth, s.tokenizer_heads)
        self.register_buffer("spread", torch.ones(self.depth))
        self.embed = nn.ModuleList(nn.Linear(size, dim) for size in sizes)
        self.encoder = ScaleCausal(scales.tokens, self.depth, dim, s.code_dim, *shape)
        self.approximation = Codebook(s.codes, s.code_dim)
        self.detail = Codebook(s.detail_codes, s.code_dim) if self.depth > 1 else None
        self.decoder = ScaleCausal(scales.tokens, self.depth, s.code_dim, dim, *shape)
        self.project = nn.ModuleList(nn.Linear(dim, size) for size in sizes)

    @property
    def vocabulary(self) -> int:
        """Number of token values of both kinds."""
        return sum(map(len, self.codebooks.values()))

    @property
    def codebooks(self) -> dict[str, Codebook]:
        """See `Tokenizer.codebooks`."""
        books = {"approximation": self.approximation, "detail": self.detail}
        return {kind: book for kind, book in books.items() if book is not None}

    def _split(self, images: Tensor) -> list[Tensor]:
        return split(self.scales, images, self.depth)

    def visible(self, images: Tensor) -> Tensor:
        """The part of images [b, c, h, w] that tokens can represent: their first `depth` scales, [b, c, side, side]."""
        return join(self.scales, self._split(images))

    def length(self, count: int) -> int:
        """Number of tokens in the first `count` scales of an image."""
        return count * self.scales.tokens

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Float [b, c, h, w] in [-1, 1] -> tokens int64 [b, depth · N]."""
        vectors, n = self._vectors(self._split(images)), self.scales.tokens
        tokens = [self.approximation.nearest(vectors[:, :n])]
        if self.detail is not None:
            tokens.append(self.detail.nearest(vectors[:, n:]) + len(self.approximation))
        return torch.cat(tokens, dim=1)

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens int64 [b, count · N] of the first `count` scales -> float [b, c, side, side], nominally in [-1, 1].

        The tokens of fewer scales decode to a smaller image.
        """
        n = self.scales.tokens
        codes = [self.approximation(tokens[:, :n])]
        if self.detail is not None:
            codes.append(self.detail(tokens[:, n:] - len(self.approximation)))
        return join(self.scales, self._patches(torch.cat(codes, dim=1)))

    def reconstruct(self, images: Tensor, generator: torch.Generator) -> Reconstruction:
        """See `Tokenizer.reconstruct`."""
        vectors, n = self._vectors(self._split(images)), self.scales.tokens
        codes, commitment = self.approximation.quantise(vectors[:, :n], generator)
        if self.detail is not None:
            details, of_details = self.detail.quantise(vectors[:, n:], generator)
            codes = torch.cat([codes, details], dim=1)
            commitment = (commitment + (self.depth - 1) * of_details) / self.depth
        return Reconstruction(join(self.scales, self._patches(codes)), commitment)

    def learn(self, settings: TokenizerTraining, batches: PublicBatches, run: RunContext) -> None:
        """See `Tokenizer.learn`; measures `spread` first."""
        self.measure(batches.collect(MEASURED_IMAGES))
        super().learn(settings, batches, run)

    @torch.no_grad()
    def measure(self, images: Tensor) -> None:
        """Sets `spread` from images, float [b, c, h, w] in [-1, 1]; coefficients are divided by it."""
        self.spread.copy_(torch.stack([p.square().mean().sqrt().clamp(min=1e-4) for p in self._split(images)]))

    def _vectors(self, patches: list[Tensor]) -> Tensor:
        embedded = [embed(p / s) for embed, p, s in zip(self.embed, patches, self.spread, strict=False)]
        return self.encoder(torch.cat(embedded, dim=1))

    def _patches(self, codes: Tensor) -> list[Tensor]:
        parts = self.decoder(codes).split(self.scales.tokens, dim=1)
        return [project(x) * s for project, x, s in zip(self.project, parts, self.spread, strict=False)]
