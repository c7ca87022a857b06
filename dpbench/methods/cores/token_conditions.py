"""What a token model is conditioned on: the class of an image, or one of its captions.

Both know a condition "none", which dropout and guidance use: no class, or a caption without tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dpbench.core.caption_tokens import NO_TOKEN, Lost, caption_tokens
from dpbench.core.captions import decode_captions
from dpbench.core.config import as_settings
from dpbench.core.registries import TEXT_ENCODERS
from dpbench.core.specs import Batch, Conditions, DatasetSpec
from dpbench.core.text_encoder import TextEncoding
from dpbench.methods.cores.class_embeddings import initial_class_embeddings
from dpbench.methods.cores.token_settings import CaptionSettings
from dpbench.models.text_prefix import TextSizes
from dpbench.privacy.private_data import PrivateData

NONE = NO_TOKEN
"""Stands for the condition "none": in place of a label, or of all tokens of a caption."""


class Inputs(NamedTuple):
    """The conditions of a `TokenTransformer`.

    Attributes:
        condition: int64 [b].
        text: b encoded captions; None without captions.
    """

    condition: Tensor
    text: TextEncoding | None = None


class TokenCondition(ABC):
    """Turns the conditions of records and of samples into inputs of a token model.

    Before that, they are one tensor with the rows in its first dimension, or None where there are none: labels
    int64 [b], or the tokens of all captions int32 [b, captions, length].
    """

    @property
    @abstractmethod
    def key(self) -> Mapping[str, Any]:
        """What a pretrained model depends on because of it; JSON-like."""

    @property
    @abstractmethod
    def text(self) -> TextSizes | None:
        """Sizes of encoded captions; None without captions."""

    @abstractmethod
    def values(self, spec: DatasetSpec) -> int:
        """Number of conditions that a model of a dataset knows, with "none", which is the last one."""

    @abstractmethod
    def ready(self, private: PrivateData) -> PrivateData:
        """The private records in the form that `of` reads on the device."""

    @abstractmethod
    def of(self, batch: Batch) -> Tensor | None:
        """The conditions of records: of public ones, or of private ones that are `ready`."""

    @abstractmethod
    def asked(self, conditions: Conditions) -> Tensor | None:
        """The conditions of samples."""

    @abstractmethod
    def one(self, condition: Tensor | None, count: int, generator: torch.Generator) -> Tensor:
        """One label int64 [count], or one caption int32 [count, length] of each row; no draws where it has only one."""

    @abstractmethod
    def inputs(self, one: Tensor, none: int) -> Inputs:
        """The model's inputs from what `one` gave, in which `NONE` may have replaced rows.

        Args:
            one: labels or captions.
            none: the model's number of the condition "none".
        """

    @abstractmethod
    def private_embeddings(self, public: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
        """Initial embeddings of the private conditions, without "none": [k, d].

        Args:
            public: [j, d], the embeddings of the public conditions, without "none".
            spread: standard deviation of random embeddings.
            generator: on the CPU.
        """


class ByClass(TokenCondition):
    """The class of an image, or one class for all images of a dataset without classes.

    Args:
        n_classes: of the sensitive dataset; 0 without classes.
    """

    text = None

    def __init__(self, n_classes: int):
        self._n_classes = n_classes

    @property
    def key(self) -> Mapping[str, Any]:
        """See `TokenCondition.key`: nothing, as a pretrained model has the public classes."""
        return {}

    def values(self, spec: DatasetSpec) -> int:
        """See `TokenCondition.values`."""
        return max(1, spec.n_classes) + 1

    def ready(self, private: PrivateData) -> PrivateData:
        """See `TokenCondition.ready`."""
        return private

    def of(self, batch: Batch) -> Tensor | None:
        """See `TokenCondition.of`."""
        return batch.labels

    def asked(self, conditions: Conditions) -> Tensor | None:
        """See `TokenCondition.asked`."""
        return None if conditions.labels is None else torch.tensor(conditions.labels)

    def one(self, condition: Tensor | None, count: int, generator: torch.Generator) -> Tensor:
        """See `TokenCondition.one`."""
        return torch.zeros(count, dtype=torch.long) if condition is None else condition

    def inputs(self, one: Tensor, none: int) -> Inputs:
        """See `TokenCondition.inputs`."""
        return Inputs(torch.where(one == NONE, none, one))

    def private_embeddings(self, public: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
        """See `TokenCondition.private_embeddings`: random, as public classes never stand for private ones."""
        return initial_class_embeddings(public, max(1, self._n_classes), spread, generator)


class ByCaption(TokenCondition):
    """One of the captions of an image, drawn at random for every view of a record. Words mean the same in all data.

    Args:
        settings: the text encoder and sizes.
    """

    def __init__(self, settings: CaptionSettings):
        self._settings = settings
        self._encoder = TEXT_ENCODERS.get(settings.text.name)(settings.text.config)

    @property
    def key(self) -> Mapping[str, Any]:
        """See `TokenCondition.key`: the encoder with its weights, and the sizes."""
        s = self._settings
        text = [s.text.name, as_settings(s.text.config), dict(s.text_weights)]
        return {"text": text, "sizes": [s.text_tokens, s.captions_per_image]}

    @property
    def text(self) -> TextSizes:
        """See `TokenCondition.text`."""
        return TextSizes(self._settings.text_tokens, self._encoder.dim, self._encoder.pooled_dim)

    def values(self, spec: DatasetSpec) -> int:
        """See `TokenCondition.values`: one prefix token, to which a caption adds its pooled vector."""
        return 1

    def ready(self, private: PrivateData) -> PrivateData:
        """See `TokenCondition.ready`."""
        s = self._settings
        return private.tokenize(self._encoder.tokenize, s.captions_per_image, s.text_tokens)

    def of(self, batch: Batch) -> Tensor | None:
        """See `TokenCondition.of`."""
        if batch.captions is None:
            return batch.caption_tokens
        return self._tokens(decode_captions(batch.captions), self._settings.captions_per_image)

    def asked(self, conditions: Conditions) -> Tensor | None:
        """See `TokenCondition.asked`. Warnings count prompts that are cut or have no tokens."""
        if conditions.texts is None:
            return None
        tokens = self._tokens(conditions.texts, 1)
        Lost.of(conditions.texts, tokens, self._encoder.tokenize).warn("prompts")
        return tokens

    def _tokens(self, texts: Sequence[str], captions: int) -> Tensor:
        return caption_tokens(texts, self._encoder.tokenize, captions, self._settings.text_tokens)

    def one(self, condition: Tensor | None, count: int, generator: torch.Generator) -> Tensor:
        """See `TokenCondition.one`. A row's choice depends on its own captions; nothing is read on the host."""
        if condition is None:
            return torch.full((count, self._settings.text_tokens), NONE, dtype=torch.int32)
        if condition.shape[1] == 1:
            return condition[:, 0]
        given = (condition[:, :, 0] >= 0).sum(1)
        share = torch.rand(count, generator=generator, device=generator.device).to(condition.device)
        chosen = (share * given).long().clamp(max=condition.shape[1] - 1)
        return condition.take_along_dim(chosen[:, None, None], dim=1).squeeze(1)

    def inputs(self, one: Tensor, none: int) -> Inputs:
        """See `TokenCondition.inputs`."""
        return Inputs(torch.full((len(one),), none, device=one.device), self._encoder.encode(one))

    def private_embeddings(self, public: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
        """See `TokenCondition.private_embeddings`: there are none."""
        return public


def token_condition(settings: CaptionSettings, spec: DatasetSpec) -> TokenCondition:
    """By caption where the sensitive dataset has captions, else by class."""
    return ByCaption(settings) if spec.condition == "captions" else ByClass(spec.n_classes)
