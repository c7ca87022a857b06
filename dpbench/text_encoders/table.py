"""Base of the encoders that look a token's vector up in a table: a token has the same vector in every context."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from dpbench.core.text_encoder import TextEncoder, TextEncoding

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")


class TableEncoder(TextEncoder[T]):
    """Token vectors from a table; the pooled vector is their mean. Subclasses define `tokenize`.

    Args:
        config: an instance of `Config`.
        table: float [tokens, d].
    """

    def __init__(self, config: T, table: Tensor):
        super().__init__(config)
        self._table = table.float()
        self.dim = self.pooled_dim = table.shape[1]

    def encode(self, tokens: Tensor) -> TextEncoding:
        """See `TextEncoder.encode`."""
        self._table = self._table.to(tokens.device)
        mask = tokens >= 0
        vectors = self._table[tokens.clamp(min=0).long()] * mask[..., None]
        return TextEncoding(vectors, mask, vectors.sum(1) / mask.sum(1, keepdim=True).clamp(min=1))
