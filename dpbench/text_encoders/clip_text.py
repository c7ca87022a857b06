"""The text encoder of CLIP (Radford et al., arXiv 2103.00020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dpbench.core.config import option
from dpbench.text_encoders.stored import StoredEncoder, hidden_where

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class CLIPTextConfig:
    """Settings of the clip encoder."""

    weights: str = option(
        "openai/clip-vit-large-patch14",
        "a folder, or a repository in the Hugging Face hub's cache: a CLIP model, or a pipeline with one",
    )


class CLIPText(StoredEncoder[CLIPTextConfig]):
    """The text encoder of a CLIP model in the format of transformers, trained on pairs of images and texts.

    The pooled vector is the last layer's at the end of the text, before CLIP's projection. Nothing is downloaded: name
    a folder, or run `hf download openai/clip-vit-large-patch14`. Needs `pip install "dpbench[hub]"`.
    """

    Config = CLIPTextConfig
    paper = "arXiv 2103.00020"
    network = "CLIPTextModel"

    def attention(self, mask: Tensor) -> Tensor:
        """See `StoredEncoder.attention`: tokens attend to themselves and to earlier ones."""
        import torch

        later = torch.ones(mask.shape[1], mask.shape[1], dtype=torch.bool, device=mask.device).triu(1)
        return hidden_where(later[None, None] | ~mask[:, None, None])

    def pool(self, output: Any, mask: Tensor) -> Tensor:
        """See `StoredEncoder.pool`: the vector of the last token."""
        last = (mask.sum(1) - 1).clamp(min=0)[:, None, None]
        states: Tensor = output.last_hidden_state
        return states.take_along_dim(last.expand(-1, 1, states.shape[2]), dim=1).squeeze(1)
