"""The encoder of T5 (Raffel et al., arXiv 1910.10683)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dpbench.core.config import option
from dpbench.text_encoders.stored import StoredEncoder, hidden_where

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class T5TextConfig:
    """Settings of the t5 encoder."""

    weights: str = option(
        "google/flan-t5-base",
        "a folder, or a repository in the Hugging Face hub's cache: a T5 model, or a pipeline with one",
    )


class T5Text(StoredEncoder[T5TextConfig]):
    """The encoder of a T5 model in the format of transformers, trained on text alone.

    The pooled vector is the mean of the token embeddings. Nothing is downloaded: name a folder, or run
    `hf download google/flan-t5-base`. Needs `pip install "dpbench[hub]"`.
    """

    Config = T5TextConfig
    paper = "arXiv 1910.10683"
    network = "T5EncoderModel"

    def attention(self, mask: Tensor) -> Tensor:
        """See `StoredEncoder.attention`: tokens attend to all tokens."""
        return hidden_where(~mask[:, None, None].expand(-1, 1, mask.shape[1], -1))

    def pool(self, output: Any, mask: Tensor) -> Tensor:
        """See `StoredEncoder.pool`: the mean."""
        states: Tensor = output.last_hidden_state
        return (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
