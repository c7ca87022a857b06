"""A decoder-only transformer over discrete tokens with a condition prefix and a KV cache, in the spirit of nanoGPT.

Built from layers whose per-example gradients are well defined (Linear, Embedding, LayerNorm), so that it can be trained
by DP-SGD.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes of a `TokenTransformer`.

    Attributes:
        vocabulary: number of token values V.
        length: tokens per sequence T.
        conditions: number of condition values (classes and "none").
        dim: width.
        depth: number of blocks.
        heads: attention heads; divides `dim`.
    """

    vocabulary: int
    length: int
    conditions: int
    dim: int = 128
    depth: int = 4
    heads: int = 4


class Attention(nn.Module):
    """Causal multi-head self-attention; with a cache it attends to all earlier calls' keys and values."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, cache: list[Tensor] | None = None) -> Tensor:
        """[b, t, dim] -> [b, t, dim]; `cache` is extended in place and then t is 1."""
        b, t, dim = x.shape
        q, k, v = self.qkv(x).reshape(b, t, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)  # [b, h, t, d]
        if cache is not None:
            cache[:] = [k, v] if not cache else [torch.cat([c, n], dim=2) for c, n in zip(cache, (k, v), strict=True)]
            k, v = cache
        y = F.scaled_dot_product_attention(q, k, v, is_causal=cache is None)
        return self.out(y.transpose(1, 2).reshape(b, t, dim))


class Block(nn.Module):
    """Pre-norm attention and MLP."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor, cache: list[Tensor] | None = None) -> Tensor:
        """[b, t, dim] -> [b, t, dim]."""
        x = x + self.attention(self.norm1(x), cache)
        return x + self.mlp(self.norm2(x))


class TokenTransformer(nn.Module):
    """p(tokens | condition) as a product of next-token distributions; the condition is the first position's prefix."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.config = config
        self.condition = nn.Embedding(config.conditions, config.dim)
        self.token = nn.Embedding(config.vocabulary, config.dim)
        self.position = nn.Embedding(config.length, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocabulary)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                # Residual branches start small, so that depth does not blow up the first activations (GPT-2).
                branch = name.endswith(("out.weight", "mlp.2.weight"))
                nn.init.normal_(parameter, std=0.02 / (2 * config.depth) ** 0.5 if branch else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        """Next-token logits.

        Args:
            tokens: int64 [b, T].
            condition: int64 [b].

        Returns:
            [b, T, V]: position t predicts tokens[:, t] from the condition and tokens[:, :t].
        """
        b, length = tokens.shape
        before = torch.cat([self.condition(condition)[:, None], self.token(tokens[:, :-1])], dim=1)
        x = before + self.position(torch.arange(length, device=tokens.device).expand(b, length))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))

    def loss(self, tokens: Tensor, condition: Tensor) -> Tensor:
        """Negative log-likelihood per token, averaged over the sequence: [b]."""
        logits = self(tokens, condition)
        return F.cross_entropy(logits.flatten(0, 1), tokens.flatten(), reduction="none").reshape(tokens.shape).mean(1)

    @torch.inference_mode()
    def sample(
        self, condition: Tensor, generator: torch.Generator, temperature: float = 1.0, top_p: float = 1.0
    ) -> Tensor:
        """Draws sequences token by token.

        Args:
            condition: int64 [b].
            generator: on the CPU.
            temperature: logits are divided by it.
            top_p: only the most likely tokens that together have this probability are drawn.

        Returns:
            int64 [b, T].
        """
        caches: list[list[Tensor]] = [[] for _ in self.blocks]
        x = self.condition(condition)
        tokens: list[Tensor] = []
        for t in range(self.config.length):
            x = (x + self.position.weight[t])[:, None]
            for block, cache in zip(self.blocks, caches, strict=True):
                x = block(x, cache)
            logits = self.head(self.norm(x[:, 0])).float() / temperature
            tokens.append(draw(logits.softmax(-1), top_p, generator))
            x = self.token(tokens[-1])
        return torch.stack(tokens, dim=1)


def draw(probabilities: Tensor, top_p: float, generator: torch.Generator) -> Tensor:
    """One category per row of [b, V], from the smallest set of categories whose probability reaches `top_p`: [b]."""
    if top_p < 1:
        ordered, order = probabilities.sort(dim=-1, descending=True)
        kept = ordered.cumsum(-1) - ordered < top_p
        probabilities = torch.zeros_like(probabilities).scatter(-1, order, ordered * kept)
    uniform = torch.rand(len(probabilities), 1, generator=generator).to(probabilities)
    cumulative = probabilities.cumsum(-1)
    index = torch.searchsorted(cumulative, uniform * cumulative[:, -1:], right=True)
    return index.clamp_(max=probabilities.shape[-1] - 1).squeeze(-1)
