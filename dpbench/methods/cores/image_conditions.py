"""The condition of an image, its class or one of its captions, read from records and from prompts.

`token_conditions` and `diffusion_conditions` define how conditions enter a model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dpbench.core.caption_tokens import NO_TOKEN, Lost
from dpbench.core.captions import decode_captions
from dpbench.core.specs import Batch, Conditions
from dpbench.models.caption_reader import CaptionReader
from dpbench.privacy.private_data import PrivateData

NONE = NO_TOKEN
"""Stands for the condition "none": in place of a label, or of all tokens of a caption."""


class ImageCondition(ABC):
    """Reads the conditions of records and of samples.

    Conditions are one tensor with a row per image: labels int64 [b], or the tokens of all captions int32 [b, captions,
    length]. They are None for data without conditions.
    """

    @property
    @abstractmethod
    def key(self) -> Mapping[str, Any]:
        """The settings of the condition that a pretrained model depends on; JSON-like."""

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
        n_classes: number of classes of the dataset; 0 without classes.
    """

    def __init__(self, n_classes: int):
        self.n_classes = n_classes

    @property
    def key(self) -> Mapping[str, Any]:
        """See `ImageCondition.key`: empty, because a pretrained model has the public classes."""
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


class Captions(CaptionReader, ImageCondition):
    """One of the captions of an image, drawn at random for every view of a record. Words mean the same in all data.

    Args:
        settings: the text encoder and sizes.
    """

    def ready(self, private: PrivateData) -> PrivateData:
        """See `ImageCondition.ready`: captions become tokens inside the vault."""
        s = self._settings
        return private.tokenize(self._encoder.tokenize, s.captions_per_image, s.text_tokens)

    def of(self, batch: Batch) -> Tensor | None:
        """See `ImageCondition.of`."""
        if batch.captions is None:
            return batch.caption_tokens
        return self.tokens(decode_captions(batch.captions), self._settings.captions_per_image)

    def asked(self, conditions: Conditions) -> Tensor | None:
        """See `ImageCondition.asked`. Warns how many prompts are cut or have no tokens."""
        if conditions.texts is None:
            return None
        tokens = self.tokens(conditions.texts, 1)
        Lost.of(conditions.texts, tokens, self._encoder.tokenize).warn("prompts")
        return tokens
