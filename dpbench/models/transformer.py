"""A decoder-only transformer over discrete tokens with a condition prefix and a KV cache, similar to nanoGPT.

It uses only layers with well-defined per-example gradients (Linear, Embedding, LayerNorm), so DP-SGD can train it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dpbench.core.text_encoder import TextEncoding
from dpbench.models.text_prefix import TextPrefix, TextSizes
from dpbench.models.token_order import TokenOrder, one_by_one

ROWS = 256
"""Batch size of sampling. Bounds the memory of keys and values; larger batches are hardly faster."""


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes of a `TokenTransformer`.

    Attributes:
        vocabulary: number of token values V.
        length: tokens per sequence T.
        conditions: number of condition values; with guidance, the last one means "none".
        dim: width.
        depth: number of blocks.
        heads: number of attention heads; must divide `dim`.
        checkpoint: gradient checkpointing: training stores only the inputs of the blocks and recomputes the rest in
            the backward pass. Saves memory and takes about a third more time.
        text: sizes of the captions that stand before the tokens; None without captions.
    """

    vocabulary: int
    length: int
    conditions: int
    dim: int = 128
    depth: int = 4
    heads: int = 4
    checkpoint: bool = False
    text: TextSizes | None = None

    @property
    def prefix(self) -> int:
        """Positions before the first token."""
        return self.text.length if self.text else 0


@dataclass(frozen=True)
class Sampling:
    """Settings of sampling.

    Attributes:
        temperature: divides the logits.
        top_p: nucleus sampling: keeps the most likely tokens up to this total probability.
        guidance: weight w of classifier-free guidance, logits = none + w (condition - none); 1 disables it.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    guidance: float = 1.0


class KeyValues:
    """The keys and values of one block for all previous positions, in a buffer preallocated for the whole sequence."""

    def __init__(self, length: int):
        self.length = length
        self.filled = 0
        self._memory: Tensor | None = None  # allocated on first use, when shape, dtype and device are known

    def append(self, kv: Tensor) -> Tensor:
        """Adds keys and values of new positions [2, b, heads, t, d]; returns those of all positions, same layout."""
        if self._memory is None:
            self._memory = kv.new_empty(*kv.shape[:3], self.length, kv.shape[4])
        start, self.filled = self.filled, self.filled + kv.shape[3]
        self._memory[:, :, :, start : self.filled] = kv
        return self._memory[:, :, :, : self.filled]


class Attention(nn.Module):
    """Multi-head self-attention to earlier positions."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor | None = None, cache: KeyValues | None = None) -> Tensor:
        """[b, t, dim] -> [b, t, dim].

        Args:
            x: activations at t positions.
            mask: bool [t, t], true where a position (row) attends to another (column); None for itself and all earlier
                ones.
            cache: earlier positions; if given, the positions of x attend to all of them and to each other.
        """
        b, t, dim = x.shape
        qkv = self.qkv(x).reshape(b, t, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)  # [3, b, h, t, d]
        k, v = qkv[1:] if cache is None else cache.append(qkv[1:])
        y = F.scaled_dot_product_attention(qkv[0], k, v, attn_mask=mask, is_causal=cache is None and mask is None)
        return self.out(y.transpose(1, 2).reshape(b, t, dim))


class Block(nn.Module):
    """Pre-norm attention and MLP."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor, mask: Tensor | None = None, cache: KeyValues | None = None) -> Tensor:
        """[b, t, dim] -> [b, t, dim]; see `Attention.forward` for mask and cache."""
        x = x + self.attention(self.norm1(x), mask, cache)
        return x + self.mlp(self.norm2(x))


class TokenTransformer(nn.Module):
    """p(tokens | condition) as a product of next-block distributions; the condition is a prefix token.

    With captions, the words of a caption precede this token, and all words attend to each other. The pooled vector of
    the caption is added to the prefix token.

    Args:
        config: sizes of the network.
        allowed: bool [T, V], the tokens allowed at each position; None allows all.
        order: which tokens are predicted at once; None for one by one. Within a block, they are independent.
    """

    allowed: Tensor | None
    mask: Tensor | None
    parents: Tensor

    def __init__(self, config: TransformerConfig, allowed: Tensor | None = None, order: TokenOrder | None = None):
        super().__init__()
        self.config = config
        self.order = order or one_by_one(config.length)
        blocks = [index for index, size in enumerate(self.order.blocks) for _ in range(size)]
        block = torch.tensor([-1] * config.prefix + blocks)
        mask = None if self.order.one_by_one and not config.text else block[:, None] >= block[None, :]
        self.register_buffer("allowed", allowed, persistent=False)
        self.register_buffer("mask", mask, persistent=False)
        self.register_buffer("parents", torch.tensor(self.order.parents, dtype=torch.long), persistent=False)
        self.condition = nn.Embedding(config.conditions, config.dim)
        self.token = nn.Embedding(config.vocabulary, config.dim)
        self.position = nn.Embedding(config.length, config.dim)
        self.text = TextPrefix(config.text, config.dim) if config.text else None
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocabulary)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                # Residual branches have a small initial scale, so that activations do not grow with depth (GPT-2).
                branch = name.endswith(("out.weight", "mlp.2.weight"))
                nn.init.normal_(parameter, std=0.02 / (2 * config.depth) ** 0.5 if branch else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, tokens: Tensor, condition: Tensor, text: TextEncoding | None = None) -> Tensor:
        """Next-block logits.

        Args:
            tokens: int64 [b, T].
            condition: int64 [b].
            text: b captions, in a model with captions.

        Returns:
            [b, T, V]: the logits of tokens[:, t] at position t, given the condition and the tokens of earlier blocks.
        """
        b, length = tokens.shape
        first = self.order.blocks[0]
        prefix, start = self._prefix(condition, text)
        start = start[:, None].expand(b, first, -1)
        before = torch.cat([start, self.token(tokens[:, self.parents[: length - first]])], dim=1)
        x = before + self.position(torch.arange(length, device=tokens.device).expand(b, length))
        x = x if prefix is None else torch.cat([prefix, x], dim=1)
        mask = None if self.mask is None else self.mask[: x.shape[1], : x.shape[1]]
        recompute = self.config.checkpoint and self.training and torch.is_grad_enabled()
        for block in self.blocks:
            x = checkpoint(block, x, mask, use_reentrant=False) if recompute else block(x, mask)
        logits = self.head(self.norm(x[:, self.config.prefix :]))
        return logits if self.allowed is None else logits.masked_fill(~self.allowed[:length], -torch.inf)

    def _prefix(self, condition: Tensor, text: TextEncoding | None) -> tuple[Tensor | None, Tensor]:
        """The prefix of the tokens: (caption [b, P, dim] or None, prefix token [b, dim])."""
        start = self.condition(condition)
        if self.text is None:
            return None, start
        assert text is not None
        prefix, pooled = self.text(text)
        return prefix, start + pooled

    def loss(self, tokens: Tensor, condition: Tensor, text: TextEncoding | None = None) -> Tensor:
        """Negative log-likelihood per token, averaged over the sequence: [b]."""
        logits = self(tokens, condition, text)
        return F.cross_entropy(logits.flatten(0, 1), tokens.flatten(), reduction="none").reshape(tokens.shape).mean(1)

    def next_logits(self, before: Tensor, caches: list[KeyValues]) -> Tensor:
        """The logits of the next t positions, computed from cached keys and values of the earlier ones.

        Args:
            before: [b, t, dim], embeddings of the parents of the next block; those of the condition in the first block.
            caches: one per layer, the same objects for all blocks of a sequence.

        Returns:
            [b, t, V]
        """
        filled = caches[0].filled - self.config.prefix
        x = before + self.position.weight[filled : filled + before.shape[1]]
        return self.head(self.norm(self._cached(x, caches)))

    def _cached(self, x: Tensor, caches: list[KeyValues]) -> Tensor:
        """The activations of new positions after all blocks."""
        for layer, cache in zip(self.blocks, caches, strict=True):
            x = layer(x, cache=cache)
        return x

    @torch.inference_mode()
    def sample(
        self,
        condition: Tensor,
        generator: torch.Generator,
        sampling: Sampling = Sampling(),
        text: TextEncoding | None = None,
    ) -> Tensor:
        """Draws sequences block by block.

        Args:
            condition: int64 [b].
            generator: source of all draws (CPU).
            sampling: temperature, top-p and guidance.
            text: b captions, in a model with captions.

        Returns:
            int64 [b, T].
        """
        # All random numbers are drawn first, so samples do not depend on how the rows are split.
        uniform = torch.rand(len(condition), self.config.length, generator=generator).to(condition.device)
        parts = [slice(first, first + ROWS) for first in range(0, len(condition), ROWS)]
        texts = [text and TextEncoding(*(t[part] for t in text)) for part in parts]
        rows = zip(parts, texts, strict=True)
        return torch.cat([self._sample_rows(condition[part], t, uniform[part], sampling) for part, t in rows])

    def _sample_rows(self, condition: Tensor, text: TextEncoding | None, uniform: Tensor, sampling: Sampling) -> Tensor:
        rows, caches = len(condition), [KeyValues(self.config.prefix + self.config.length) for _ in self.blocks]
        if sampling.guidance != 1:
            condition = torch.cat([condition, torch.full_like(condition, self.config.conditions - 1)])
            text = text and TextEncoding(*(torch.cat([t, torch.zeros_like(t)]) for t in text))
        prefix, start = self._prefix(condition, text)
        if prefix is not None:
            self._cached(prefix, caches)
        tokens = torch.zeros_like(uniform, dtype=torch.long)
        parents = F.pad(self.parents, (self.order.blocks[0], 0))  # aligned with the positions
        first = 0
        for size in self.order.blocks:
            at = slice(first, first + size)
            before = self.token(tokens[:, parents[at]]).repeat(len(condition) // rows, 1, 1)
            if not first:
                before = start[:, None].expand_as(before)
            logits = self.next_logits(before, caches).float()
            if sampling.guidance != 1:
                conditional, none = logits.chunk(2)
                logits = none + sampling.guidance * (conditional - none)
            if self.allowed is not None:
                logits = logits.masked_fill(~self.allowed[at], -torch.inf)
            probabilities = (logits / sampling.temperature).softmax(-1)
            drawn = draw(probabilities.flatten(0, 1), sampling.top_p, uniform[:, at].flatten())
            tokens[:, at] = drawn.reshape(rows, size)
            first += size
        return tokens


def draw(probabilities: Tensor, top_p: float, uniform: Tensor) -> Tensor:
    """Draws one category per row from the smallest set of categories with total probability at least `top_p`.

    Args:
        probabilities: float [b, V]; each row sums to 1.
        top_p: in (0, 1].
        uniform: float [b] in [0, 1), the random numbers; equal numbers draw equal categories.

    Returns:
        int64 [b].
    """
    if top_p < 1:
        ordered, order = probabilities.sort(dim=-1, descending=True)
        kept = ordered.cumsum(-1) - ordered < top_p
        probabilities = torch.zeros_like(probabilities).scatter(-1, order, ordered * kept)
    cumulative = probabilities.cumsum(-1)
    index = torch.searchsorted(cumulative, uniform[:, None] * cumulative[:, -1:], right=True)
    return index.clamp_(max=probabilities.shape[-1] - 1).squeeze(-1)
