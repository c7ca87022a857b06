"""How the class of an image, or one of its captions, enters a token model.

Both have a condition "none", which dropout and guidance use: no class, or a caption without tokens.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from dpbench.core.specs import DatasetSpec
from dpbench.core.text_encoder import TextEncoding
from dpbench.methods.cores.class_embeddings import initial_class_embeddings
from dpbench.methods.cores.image_conditions import NONE, Captions, Classes, ImageCondition
from dpbench.models.caption_settings import CaptionSettings
from dpbench.models.text_prefix import TextSizes


class Inputs(NamedTuple):
    """The conditions of a `TokenTransformer`.

    Attributes:
        condition: int64 [b].
        text: b encoded captions; None without captions.
    """

    condition: Tensor
    text: TextEncoding | None = None


class TokenCondition(ImageCondition):
    """Turns the conditions of records and of samples into inputs of a token model."""

    @property
    @abstractmethod
    def text(self) -> TextSizes | None:
        """Sizes of encoded captions; None without captions."""

    @abstractmethod
    def values(self, spec: DatasetSpec) -> int:
        """Number of conditions in a model of a dataset, including "none", the last one."""

    @abstractmethod
    def one(self, condition: Tensor | None, count: int, generator: torch.Generator) -> Tensor:
        """One label int64 [count], or one caption int32 [count, length] per row; draws only where a row has several."""

    @abstractmethod
    def inputs(self, one: Tensor, none: int) -> Inputs:
        """The model's inputs from the result of `one`, in which `NONE` may have replaced rows.

        Args:
            one: labels or captions.
            none: the index of the condition "none" in the model.
        """

    @abstractmethod
    def private_embeddings(self, public: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
        """Initial embeddings of the private conditions, without "none": [k, d].

        Args:
            public: [j, d], the embeddings of the public conditions, without "none".
            spread: standard deviation of random embeddings.
            generator: source of random embeddings (CPU).
        """


class ByClass(Classes, TokenCondition):
    """The class of an image, or one class for all images of a dataset without classes."""

    text = None

    def values(self, spec: DatasetSpec) -> int:
        """See `TokenCondition.values`."""
        return max(1, spec.n_classes) + 1

    def one(self, condition: Tensor | None, count: int, generator: torch.Generator) -> Tensor:
        """See `TokenCondition.one`."""
        return torch.zeros(count, dtype=torch.long) if condition is None else condition

    def inputs(self, one: Tensor, none: int) -> Inputs:
        """See `TokenCondition.inputs`."""
        return Inputs(torch.where(one == NONE, none, one))

    def private_embeddings(self, public: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
        """See `TokenCondition.private_embeddings`: random, because public classes never stand for private ones."""
        return initial_class_embeddings(public, max(1, self.n_classes), spread, generator)


class ByCaption(Captions, TokenCondition):
    """One of the captions of an image: a prefix of its words, and a pooled vector added to the single prefix token."""

    def values(self, spec: DatasetSpec) -> int:
        """See `TokenCondition.values`: one prefix token, to which a caption adds its pooled vector."""
        return 1

    def inputs(self, one: Tensor, none: int) -> Inputs:
        """See `TokenCondition.inputs`."""
        return Inputs(torch.full((len(one),), none, device=one.device), self.encode(one))

    def private_embeddings(self, public: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
        """See `TokenCondition.private_embeddings`: there are none."""
        return public


def token_condition(settings: CaptionSettings, spec: DatasetSpec) -> TokenCondition:
    """By caption where the sensitive dataset has captions, else by class."""
    return ByCaption(settings) if spec.condition == "captions" else ByClass(spec.n_classes)
