"""Vector quantisation with moving-average codebook updates (VQ-VAE, arXiv 1711.00937, appendix A.1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RATE = 0.05
"""Weight of a new batch in the moving averages of counts and sums."""

DEAD_SHARE = 0.03
"""A code is dead if its average count falls below this share of the count under uniform use."""


class Codebook(nn.Module):
    """Codes on the unit sphere; a vector is replaced by the code with the smallest angle to it (arXiv 2110.04627).

    In training, each code follows a moving average of the vectors assigned to it. A rarely used code is reset to a
    random vector of the batch.

    Args:
        codes: number of codes V.
        dim: dimension of the codes and vectors.
    """

    entries: Tensor
    counts: Tensor
    sums: Tensor
    chosen: Tensor

    def __init__(self, codes: int, dim: int):
        super().__init__()
        entries = F.normalize(torch.randn(codes, dim), dim=-1)
        self.register_buffer("entries", entries)
        self.register_buffer("counts", torch.zeros(codes))  # no code is used yet: the first batch resets them all
        self.register_buffer("sums", torch.zeros(codes, dim))
        self.register_buffer("chosen", torch.zeros(codes))  # like `counts`, but unchanged by resets

    def __len__(self) -> int:
        return len(self.entries)

    def nearest(self, vectors: Tensor) -> Tensor:
        """[..., dim] -> int64 [...], the indices of the codes with the smallest angles."""
        with torch.autocast(vectors.device.type, enabled=False):  # in half precision, near codes cannot be told apart
            return (vectors.float() @ self.entries.T).argmax(-1)

    def forward(self, codes: Tensor) -> Tensor:
        """Looks up codes: int64 [...] -> [..., dim]."""
        return F.embedding(codes, self.entries)

    def quantise(self, vectors: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Quantises with straight-through gradients and updates the codes; for training.

        Args:
            vectors: [b, n, dim].
            generator: draws the vectors that replace dead codes (CPU).

        Returns:
            (quantised vectors [b, n, dim], commitment loss: the mean squared distance of a vector from its code)
        """
        vectors = F.normalize(vectors.float(), dim=-1)
        self.update(vectors.detach().flatten(0, -2), generator)
        return self.straight_through(vectors, self.nearest(vectors.detach()))

    def straight_through(self, vectors: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Replaces vectors of norm 1 [..., dim] by codes, int64 [...]; the gradient of a code goes to its vector.

        Returns:
            as `quantise`
        """
        chosen = self(codes)
        commitment = (vectors - chosen).square().sum(-1).mean()
        return vectors + (chosen - vectors).detach(), commitment

    @torch.no_grad()
    def update(self, vectors: Tensor, generator: torch.Generator) -> None:
        """Moves the codes towards vectors of norm 1 [n, dim] and resets rarely used ones; see `quantise`."""
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
        dead = (self.counts < DEAD_SHARE * even).nonzero().squeeze(1)
        chosen = torch.randint(len(vectors), (len(dead),), generator=generator).to(vectors.device)
        self.entries[dead] = vectors[chosen]
        self.counts[dead] = even
        self.sums[dead] = even * vectors[chosen]

    def usage(self) -> float:
        """Effective share of codes in use: exp(entropy of the average counts) / V, from 1/V to 1."""
        p = self.chosen / self.chosen.sum().clamp(min=1e-9)
        return float(torch.special.entr(p).sum().exp() / len(self))
