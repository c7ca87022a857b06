"""What an image is conditioned on: its class, or one of its captions; from records and from prompts.

How conditions enter a model is the matter of `token_conditions` and `diffusion_conditions`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dpbench.core.caption_tokens import NO_TOKEN, Lost, caption_tokens
from dpbench.core.captions import decode_captions
from dpbench.core.config import as_settings
from dpbench.core.errors import ConfigError
from dpbench.core.registries import TEXT_ENCODERS
from dpbench.core.specs import Batch, Conditions
from dpbench.core.text_encoder import TextEncoding
from dpbench.methods.cores.caption_settings import CaptionSettings
from dpbench.models.text_prefix import TextSizes
from dpbench.privacy.private_data import PrivateData

NONE = NO_TOKEN
"""Stands for the condition "none": in place of a label, or of all tokens of a caption."""


class ImageCondition(ABC):
    """Reads the conditions of records and of samples.

    They are one tensor with the rows in its first dimension, or None where there are none: labels int64 [b], or the
    tokens of all captions int32 [b, captions, length].
    """

    @property
    @abstractmethod
    def key(self) -> Mapping[str, Any]:
        """What a pretrained model depends on because of it; JSON-like."""

    @abstractmethod
    def ready(self, private: PrivateData) -> PrivateData:
        """The private records in the form that `of` reads on the device."""

    @abstractmethod
    def of(self, batch: Batch) -> Tensor | None:
        """The conditions of records: of public ones, or of private ones that are `ready`."""

    @abstractmethod
    def asked(self, conditions: Conditions) -> Tensor | None:
        """The conditions of samples."""


class Classes(ImageCondition):
    """The class of an image.

    Args:
        n_classes: of the dataset; 0 without classes.
    """

    def __init__(self, n_classes: int):
        self.n_classes = n_classes

    @property
    def key(self) -> Mapping[str, Any]:
        """See `ImageCondition.key`: nothing, as a pretrained model has the public classes."""
        return {}

    def ready(self, private: PrivateData) -> PrivateData:
        """See `ImageCondition.ready`."""
        return private

    def of(self, batch: Batch) -> Tensor | None:
        """See `ImageCondition.of`."""
        return batch.labels

    def asked(self, conditions: Conditions) -> Tensor | None:
        """See `ImageCondition.asked`."""
        return None if conditions.labels is None else torch.tensor(conditions.labels)


class Captions(ImageCondition):
    """One of the captions of an image, drawn at random for every view of a record. Words mean the same in all data.

    Args:
        settings: the text encoder and sizes.
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
        """See `ImageCondition.key`: the encoder with its weights, and the sizes."""
        s = self._settings
        text = [s.text.name, as_settings(s.text.config), dict(s.text_weights)]
        return {"text": text, "sizes": [s.text_tokens, s.captions_per_image]}

    @property
    def text(self) -> TextSizes:
        """Sizes of encoded captions."""
        return TextSizes(self._settings.text_tokens, self._encoder.dim, self._encoder.pooled_dim)

    def ready(self, private: PrivateData) -> PrivateData:
        """See `ImageCondition.ready`: captions become tokens inside the vault."""
        s = self._settings
        return private.tokenize(self._encoder.tokenize, s.captions_per_image, s.text_tokens)

    def of(self, batch: Batch) -> Tensor | None:
        """See `ImageCondition.of`."""
        if batch.captions is None:
            return batch.caption_tokens
        return self._tokens(decode_captions(batch.captions), self._settings.captions_per_image)

    def asked(self, conditions: Conditions) -> Tensor | None:
        """See `ImageCondition.asked`. Warnings count prompts that are cut or have no tokens."""
        if conditions.texts is None:
            return None
        tokens = self._tokens(conditions.texts, 1)
        Lost.of(conditions.texts, tokens, self._encoder.tokenize).warn("prompts")
        return tokens

    def _tokens(self, texts: Sequence[str], captions: int) -> Tensor:
        return caption_tokens(texts, self._encoder.tokenize, captions, self._settings.text_tokens)

    def one(self, condition: Tensor | None, count: int, generator: torch.Generator) -> Tensor:
        """One caption of each row, int32 [count, length]; no draws where rows have only one.

        A row's choice depends on its own captions; nothing is read on the host.
        """
        if condition is None:
            return torch.full((count, self._settings.text_tokens), NONE, dtype=torch.int32)
        if condition.shape[1] == 1:
            return condition[:, 0]
        given = (condition[:, :, 0] >= 0).sum(1)
        share = torch.rand(count, generator=generator, device=generator.device).to(condition.device)
        chosen = (share * given).long().clamp(max=condition.shape[1] - 1)
        return condition.take_along_dim(chosen[:, None, None], dim=1).squeeze(1)

    def encode(self, one: Tensor) -> TextEncoding:
        """Encoded captions, on the device of `one` [b, length], in which `NONE` may have replaced rows."""
        return self._encoder.encode(one)

    def empty(self) -> Tensor:
        """Tokens of the empty text: marks of beginning and end with some encoders, `NONE` with others; [1, length]."""
        tokens = self._encoder.tokenize("", length := self._settings.text_tokens)
        return torch.tensor([[*tokens, *[NONE] * (length - len(tokens))]], dtype=torch.int32)
