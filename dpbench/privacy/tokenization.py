"""The tokens that `PrivateData.tokenize` makes of each record's captions, and the proof that records stay independent.

A tokenizer is code on the host, which the guard of other closures refuses: Python would see the texts of a whole batch.
Here, the tokenizer is given one caption at a time, and its tokens are laid out in a tensor of public shape. So a
record's tokens come from its own captions alone, unless the tokenizer remembers earlier captions. Synthetic captions
show whether it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dpbench.core.caption_tokens import Lost, Tokenize, caption_tokens
from dpbench.core.captions import decode_captions
from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.checks.independence import SMALL, check_independent, check_order_free
from dpbench.privacy.checks.probes import Probes
from dpbench.privacy.records import Records


@dataclass(frozen=True)
class Tokenization:
    """Captions as token numbers.

    Attributes:
        tokenizer: (caption, length) -> at most `length` token numbers.
        captions: maximum number of captions per record.
        length: maximum number of tokens per caption.
        device: where the tokens are.
    """

    tokenizer: Tokenize
    captions: int
    length: int
    device: str

    def tokens(self, batch: Batch) -> Tensor:
        """int32 [b, captions, length]; see `caption_tokens`."""
        assert batch.captions is not None
        texts = decode_captions(batch.captions)
        return caption_tokens(texts, self.tokenizer, self.captions, self.length).to(self.device)

    def lost(self, batch: Batch, tokens: Tensor) -> Lost:
        """Counts of what `tokens` left out of the batch's captions."""
        assert batch.captions is not None
        return Lost.of(decode_captions(batch.captions), tokens, self.tokenizer)

    def of(self, batch: Batch, place: object = 0) -> Batch:
        """The batch with tokens in place of its captions. Nothing is drawn at random, so `place` is ignored."""
        return replace(batch, condition=self.tokens(batch))

    def check(self, probes: Probes) -> None:
        """Checks the tokenizer on synthetic captions.

        Raises:
            PrivacyError: a caption's tokens depend on other captions, or on when they are computed.
        """
        probe, other = probes.take(SMALL)
        if probe.captions is None:
            raise PrivacyError("there are no captions to tokenize")
        values, what = self.tokens(probe), "the tokenizer"
        check_independent(self.tokens, values, probe, other, what)
        check_order_free(self.tokens, values, probe, what)


class WithTokens:
    """Records with tokens in place of their captions.

    Args:
        records: the records, read whenever they are used.
        tokens: of all records, in memory: int32 [n, captions, length].
    """

    def __init__(self, records: Records, tokens: Tensor):
        self._records = records
        self._tokens = tokens

    def __len__(self) -> int:
        return len(self._records)

    def batch(self, indices: Sequence[int]) -> Batch:
        """The records at `indices`, in order."""
        chosen = self._tokens[torch.as_tensor(indices, dtype=torch.long)]
        return replace(self._records.batch(indices), condition=chosen)
