"""Words as fixed random vectors: what a method can learn from captions without knowledge of language."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b

from dpbench.core.config import option
from dpbench.text_encoders.table import TableEncoder


@dataclass(frozen=True)
class HashedConfig:
    """Settings of the hashed encoder."""

    dim: int = option(128, "dimension of the word vectors", low=1)
    rows: int = option(16_384, "number of vectors; words that share one cannot be told apart", low=1)


class Hashed(TableEncoder[HashedConfig]):
    """Words hashed to fixed random vectors: no weights and no knowledge of language, a control.

    A text is split into words (letters and digits of any script, in lower case), and a word's BLAKE2 hash chooses its
    vector. Words of similar meaning have unrelated vectors. This encoder does not change the track of a method.
    """

    Config = HashedConfig

    def __init__(self, config: HashedConfig):
        import torch

        draws = torch.Generator().manual_seed(0)
        super().__init__(config, torch.randn(config.rows, config.dim, generator=draws))

    def tokenize(self, text: str, length: int) -> list[int]:
        """See `TextEncoder.tokenize`."""
        words = re.findall(r"\w+", text.lower())[:length]
        return [int.from_bytes(blake2b(word.encode(), digest_size=8).digest()) % self.config.rows for word in words]
