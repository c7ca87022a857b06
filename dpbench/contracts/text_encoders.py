"""What every text encoder promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dpbench.contracts.case import Case, check_summary, check_weights, require_no_torch
from dpbench.contracts.promise import must_work, require
from dpbench.core.caption_tokens import caption_tokens
from dpbench.core.config import build
from dpbench.core.text_encoder import TextEncoder, TextEncoding

if TYPE_CHECKING:
    from torch import Tensor

TEXTS = ("a red star above a blue ring", "a ring", "猫が寝ている", "звезда", "a " * 5000)
"""Texts of few and many words and of several scripts."""

LENGTH = 8
"""Tokens of a text."""

TOLERANCE = 1e-4
"""Difference that rounding may cause between batches, relative to the norm."""


@dataclass(frozen=True)
class TextEncoderCase(Case[TextEncoder[Any]]):
    """A text encoder under test.

    Attributes:
        settings: settings of its `Config`: where its weights are, if it needs any.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def config(self) -> Any:
        """Its configuration."""
        with must_work(f"configuring {self.name}"):
            return build(self.plugin.Config, self.settings)

    @cached_property
    def encoder(self) -> TextEncoder[Any]:
        """The encoder."""
        with must_work(f"making the text encoder {self.name}"):
            return self.plugin(self.config)

    def tokens(self, *texts: str) -> Tensor:
        """The texts as tokens: int32 [len(texts), LENGTH]."""
        with must_work(f"tokenizing by {self.name}"):
            return caption_tokens(texts, self.encoder.tokenize, 1, LENGTH)[:, 0]

    def encoded(self, tokens: Tensor) -> TextEncoding:
        """Encoded tokens."""
        with must_work(f"encoding by {self.name}"):
            return self.encoder.encode(tokens)


def check_encoding(case: TextEncoderCase) -> None:
    """An encoding has an embedding and a mask per token and one vector per text, of the declared sizes, all finite."""
    tokens = case.tokens(*TEXTS)
    encoded, b = case.encoded(tokens), len(TEXTS)
    shapes = [list(t.shape) for t in encoded]
    wanted = [[b, LENGTH, case.encoder.dim], [b, LENGTH], [b, case.encoder.pooled_dim]]
    require(shapes == wanted, f"{case.name} encodes {b} texts as {shapes}, not {wanted}; see dim and pooled_dim")
    require(bool((encoded.mask == (tokens >= 0)).all()), f"the mask of {case.name} must be True exactly at tokens")
    finite = encoded.tokens[encoded.mask].isfinite().all() and encoded.pooled.isfinite().all()
    require(bool(finite), f"{case.name} must give finite numbers for texts of any script and length")
    require(
        float((encoded.pooled[0] - encoded.pooled[1]).norm()) > 0, f"{case.name} gives different texts the same vector"
    )


def check_texts_are_independent(case: TextEncoderCase) -> None:
    """A text's tokens and vectors do not depend on earlier texts, on other texts in its batch, or on padding."""
    import torch

    tokens = case.tokens(*TEXTS)
    again = torch.cat([case.tokens(text) for text in reversed(TEXTS)]).flip(0)
    require(bool((tokens == again).all()), f"{case.name} gives a text other tokens the second time; keep no state")
    together, alone = case.encoded(tokens), case.encoded(tokens[1:2, : int((tokens[1] >= 0).sum())])
    for kind, a, b in (("token", alone.tokens[0], together.tokens[1][: alone.tokens.shape[1]]),
                       ("pooled", alone.pooled[0], together.pooled[1])):  # fmt: skip
        same = float((a - b).norm()) <= TOLERANCE * float(b.norm())
        require(same, f"{case.name} computes {kind} vectors from padding or from other texts; use the mask")


def check_encode_reads_nothing(case: TextEncoderCase) -> None:
    """`encode` may run in a private loss: it reads no value on the host, and keeps no tensor."""
    from dpbench.core.specs import Batch
    from dpbench.privacy.checks.guard import guarded

    def pooled(batch: Batch) -> Tensor:
        assert batch.derived is not None
        return case.encoder.encode(batch.derived).pooled

    with must_work(f"encode of {case.name} in a private loss"):
        guarded(pooled, Batch(derived=case.tokens(*TEXTS)), f"encode of {case.name}")


def check_import(case: TextEncoderCase) -> None:
    """Importing an encoder, its settings and the names of its weights need no torch."""
    settings = f"build(plugin.Config, {dict(case.settings)!r})"
    require_no_torch(case, f"from dpbench.core.config import build; plugin.weights_of({settings})")


CHECKS: tuple[Callable[[TextEncoderCase], None], ...] = (
    check_summary,
    check_encoding,
    check_texts_are_independent,
    check_encode_reads_nothing,
    check_weights,
    check_import,
)
"""For every text encoder."""
