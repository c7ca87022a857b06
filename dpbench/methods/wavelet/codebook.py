"""Vector quantisation with a codebook that follows what it quantises (VQ-VAE, arXiv 1711.00937, appendix A.1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RATE = 0.05
"""Weight of a new batch in the moving averages of counts and sums."""

DEAD = 0.03
"""A code is dead whose average count falls below this share of an even spread's."""


class Codebook(nn.Module):
    """Codes on the unit sphere; a vector is replaced by the code nearest to its direction (arXiv 2110.04627).

    While training, every code moves to the mean of the vectors that chose it, and a code that hardly any vector
    chooses is revived: it takes the place of a vector of the batch.

    Args:
        codes: number of codes V.
        dim: of the vectors.
    """

    entries: Tensor
    counts: Tensor
    sums: Tensor
    chosen: Tensor

    def __init__(self, codes: int, dim: int):
        super().__init__()
        entries = F.normalize(torch.randn(codes, dim), dim=-1)
        self.register_buffer("entries", entries)
        self.register_buffer("counts", torch.zeros(codes))  # none has been chosen: the first batch revives them all
        self.register_buffer("sums", torch.zeros(codes, dim))
        self.register_buffer("chosen", torch.zeros(codes))  # as `counts`, but revival adds nothing

    def __len__(self) -> int:
        return len(self.entries)

    def nearest(self, vectors: Tensor) -> Tensor:
        """[..., dim] -> int64 [...], the codes of the smallest angles."""
        return (vectors @ self.entries.T).argmax(-1)

    def forward(self, codes: Tensor) -> Tensor:
        """int64 [...] -> [..., dim]."""
        return F.embedding(codes, self.entries)

    def quantise(self, vectors: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Quantises while training, with gradients straight through, and moves the codes.

        Args:
            vectors: [b, n, dim].
            generator: chooses the vectors that revive dead codes (CPU).

        Returns:
            (quantised [b, n, dim], commitment loss, a scalar: mean squared distance of a vector from its code)
        """
        vectors = F.normalize(vectors.float(), dim=-1)
        self._follow(vectors.detach().flatten(0, -2), generator)
        chosen = self(self.nearest(vectors.detach()))
        commitment = (vectors - chosen).square().sum(-1).mean()
        return vectors + (chosen - vectors).detach(), commitment

    @torch.no_grad()
    def _follow(self, vectors: Tensor, generator: torch.Generator) -> None:
        self._revive(vectors, generator)
        codes = self.nearest(vectors)
        counts = torch.bincount(codes, minlength=len(self)).to(vectors)
        sums = torch.zeros_like(self.sums).index_add_(0, codes, vectors)
        self.counts.lerp_(counts, RATE)
        self.chosen.lerp_(counts, RATE)
        self.sums.lerp_(sums, RATE)
        self.entries.copy_(torch.where(self.counts[:, None] > 0, F.normalize(self.sums, dim=-1), self.entries))

    def _revive(self, vectors: Tensor, generator: torch.Generator) -> None:
        even = len(vectors) / len(self)
        dead = (self.counts < DEAD * even).nonzero().squeeze(1)
        chosen = torch.randint(len(vectors), (len(dead),), generator=generator).to(vectors.device)
        self.entries[dead] = vectors[chosen]
        self.counts[dead] = even
        self.sums[dead] = even * vectors[chosen]

    def usage(self) -> float:
        """Effective share of codes that vectors choose: exp(entropy of the average counts) / V, from 1/V to 1."""
        p = self.chosen / self.chosen.sum().clamp(min=1e-9)
        return float(torch.special.entr(p).sum().exp() / len(self))
