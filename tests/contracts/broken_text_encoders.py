"""Text encoders that break one promise each, and one that keeps them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dpbench.core.text_encoder import TextEncoder, TextEncoding


class Letters(TextEncoder[Any]):
    """Letters as numbers: a sound encoder."""

    dim = pooled_dim = 1

    def tokenize(self, text: str, length: int) -> list[int]:
        return [ord(letter) for letter in text][:length]

    def encode(self, tokens: Any) -> TextEncoding:
        mask = tokens >= 0
        vectors = (tokens * mask)[..., None].float()
        return TextEncoding(vectors, mask, vectors.sum(1))


class Undescribed(Letters):
    __doc__ = ""


class Narrow(Letters):
    """One number less than declared."""

    dim = 2


class Remembering(Letters):
    """Counts texts."""

    seen = 0

    def tokenize(self, text: str, length: int) -> list[int]:
        self.seen += 1
        return [self.seen]


class Reading(Letters):
    """Looks at a token."""

    def encode(self, tokens: Any) -> TextEncoding:
        tokens[0, 0].item()
        return super().encode(tokens)


class Unnamed(Letters):
    """Pretrained, but names no weights."""

    @classmethod
    def track_of(cls, config: Any) -> Any:
        return "foundation"


class Careless(Letters):
    """Names weights with too few digits."""

    @classmethod
    def weights_of(cls, config: Any) -> Mapping[str, str]:
        return {"weights": "12ab"}


class Heavy(Letters):
    """Needs torch to name its weights."""

    @classmethod
    def weights_of(cls, config: Any) -> Mapping[str, str]:
        import torch  # noqa: F401

        return {}


BROKEN = [
    ("check_summary", Undescribed, "has no docstring"),
    ("check_encoding", Narrow, "see dim and pooled_dim"),
    ("check_texts_are_independent", Remembering, "other tokens the second time"),
    ("check_encode_reads_nothing", Reading, "reads a value that depends on records"),
    ("check_weights", Unnamed, "in the track 'foundation' with 0 named weights"),
    ("check_weights", Careless, "12 hexadecimal digits"),
    ("check_import", Heavy, "must need no torch"),
]
