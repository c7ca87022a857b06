"""Captions as token numbers, and the words of a caption as vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dpbench.core.caption_tokens import NO_TOKEN, caption_tokens
from dpbench.core.config import as_settings
from dpbench.core.errors import ConfigError
from dpbench.core.registries import TEXT_ENCODERS
from dpbench.core.text_encoder import TextEncoding
from dpbench.models.caption_settings import CaptionSettings
from dpbench.models.text_prefix import TextSizes


class CaptionReader:
    """Reads captions with a text encoder.

    Args:
        settings: the text encoder and sizes.

    Raises:
        ConfigError: a caption may have more tokens than the encoder reads.
    """

    def __init__(self, settings: CaptionSettings):
        self._settings = settings
        self._encoder = TEXT_ENCODERS.get(settings.text.name)(settings.text.config)
        longest = self._encoder.longest
        if longest is not None and settings.text_tokens > longest:
            raise ConfigError(
                f"text.name={settings.text.name} reads {longest} tokens; set text_tokens={longest} or less"
            )

    @property
    def key(self) -> Mapping[str, Any]:
        """The inputs that a model of captions depends on: the encoder with its weights, and the sizes; JSON-like."""
        s = self._settings
        text = [s.text.name, as_settings(s.text.config), dict(s.text_weights)]
        return {"text": text, "sizes": [s.text_tokens, s.captions_per_image]}

    @property
    def text(self) -> TextSizes:
        """Sizes of encoded captions."""
        return TextSizes(self._settings.text_tokens, self._encoder.dim, self._encoder.pooled_dim)

    def tokens(self, texts: Sequence[str], captions: int) -> Tensor:
        """Tokens of the first captions of each text: int32 [b, captions, length]; see `core.caption_tokens`."""
        return caption_tokens(texts, self._encoder.tokenize, captions, self._settings.text_tokens)

    def one(self, condition: Tensor | None, count: int, generator: torch.Generator) -> Tensor:
        """One caption of each row, int32 [count, length]; draws nothing if rows have only one.

        A row's choice depends on its own captions; no value is copied to the host.

        Args:
            condition: tokens of all captions, int32 [count, captions, length]; None without captions.
            count: number of rows.
            generator: draws one of several captions.
        """
        if condition is None:
            return torch.full((count, self._settings.text_tokens), NO_TOKEN, dtype=torch.int32)
        if condition.shape[1] == 1:
            return condition[:, 0]
        given = (condition[:, :, 0] >= 0).sum(1)
        share = torch.rand(count, generator=generator, device=generator.device).to(condition.device)
        chosen = (share * given).long().clamp(max=condition.shape[1] - 1)
        return condition.take_along_dim(chosen[:, None, None], dim=1).squeeze(1)

    def encode(self, one: Tensor) -> TextEncoding:
        """Encoded captions, on the device of `one` [b, length], in which `NO_TOKEN` may have replaced rows."""
        return self._encoder.encode(one)

    def words(self, one: Tensor) -> Tensor:
        """The word vectors of captions, float [b, length, d], 0 where there is no word; see `encode`."""
        text = self.encode(one)
        return torch.where(text.mask[..., None], text.tokens, 0)

    def empty(self) -> Tensor:
        """Tokens of the empty text, [1, length]: start and end tokens with some encoders, none with others."""
        tokens = self._encoder.tokenize("", length := self._settings.text_tokens)
        return torch.tensor([[*tokens, *[NO_TOKEN] * (length - len(tokens))]], dtype=torch.int32)
