"""The base class of text encoders: a caption -> embeddings of its tokens and one vector for the whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Generic, NamedTuple, TypeVar

from dpbench.core.config import NoSettings
from dpbench.core.track import Track

if TYPE_CHECKING:
    from torch import Tensor


C = TypeVar("C")
"""The type of an encoder's configuration."""


class TextEncoding(NamedTuple):
    """Encoded texts.

    Attributes:
        tokens: float [b, t, d], an embedding per token.
        mask: bool [b, t], True at tokens and False at padding.
        pooled: float [b, d'], one vector per text; for a text without tokens it has no meaning.
    """

    tokens: Tensor
    mask: Tensor
    pooled: Tensor


class TextEncoder(ABC, Generic[C]):
    """A fixed function from texts to vectors, made with public data only.

    `tokenize` sees one text at a time, on the host. `encode` computes with tensors alone, so a loss may call it.
    Neither may remember a text. Nothing of an encoder is trained.

    Args:
        config: an instance of `Config`.

    Attributes:
        dim: d of `TextEncoding.tokens`.
        pooled_dim: d' of `TextEncoding.pooled`.
        longest: maximum number of tokens per text; None for no limit.

    Raises:
        NotInstalled, DataError: weights are missing or damaged.
    """

    Config: ClassVar[type] = NoSettings
    paper: ClassVar[str] = ""
    dim: int
    pooled_dim: int
    longest: int | None = None

    def __init__(self, config: C):
        self.config = config

    @classmethod
    def track_of(cls, config: C) -> Track:
        """The track of a configuration: "foundation" with weights that were trained on unknown data."""
        return "none"

    @classmethod
    def weights_of(cls, config: C) -> Mapping[str, str]:
        """The weights that a configuration uses: name -> first 12 digits of their SHA-256. Imports no torch.

        Raises:
            NotInstalled, DataError: they are missing or damaged.
        """
        return {}

    @abstractmethod
    def tokenize(self, text: str, length: int) -> list[int]:
        """At most `length` token numbers, none negative; the same in every call. [] for a text without words."""

    @abstractmethod
    def encode(self, tokens: Tensor) -> TextEncoding:
        """Embeddings of tokenised texts, on the device of `tokens`.

        Args:
            tokens: int [b, t], token numbers; negative ones are padding at the end.
        """
