"""CLIP (Radford et al., arXiv 2103.00020): the features of CMMD (arXiv 2401.09603) and of the CLIP score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from dpbench.core.metric import Evaluation, Extractor

if TYPE_CHECKING:
    from torch import Tensor

PIXELS = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
"""Per-channel mean and standard deviation of pixels in [0, 1], for the input of OpenAI's CLIP."""
TEXTS = 256
"""Texts per call of the network."""


class CLIP(Extractor):
    """Image embeddings of CLIP ViT-L/14 at 336 pixels.

    Radford et al. (arXiv 2103.00020). The embeddings are projected and not normalised: float32 [b, 768].

    Raises:
        MissingScore: the weights or transformers are not available.
    """

    batch: ClassVar[int] = 32

    def __init__(self, evaluation: Evaluation):
        from dpbench.metrics.extractors.images import RESIZING
        from dpbench.models.pretrained.finding import fingerprint
        from dpbench.models.pretrained.hub import from_hub

        super().__init__(evaluation)
        network, self.tokens = from_hub("clip", "CLIPModel", "CLIPTokenizer")
        self.network = network.float().eval().to(evaluation.run.device)
        self.size = self.network.config.vision_config.image_size
        self.description = f"clip-vit-large-patch14-336 {fingerprint('clip')}, {self.size} {RESIZING}"

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [b, 1 or 3, h, w] -> float32 [b, 768]."""
        from dpbench.metrics.extractors.images import coloured, resized, standardised
        from dpbench.models.exact import exact

        with exact(images.device):
            x = standardised(resized(coloured(images), self.size), *PIXELS)
            return self.network.visual_projection(self.network.vision_model(pixel_values=x).pooler_output)

    def text(self, prompts: Sequence[str]) -> Tensor:
        """Embeddings of texts, projected and not normalised: float32 [len(prompts), 768]; long texts are truncated."""
        import torch

        from dpbench.models.exact import exact

        with exact(self.network.device):
            chunks = (prompts[start : start + TEXTS] for start in range(0, len(prompts), TEXTS))
            return torch.cat([self._embedded(chunk) for chunk in chunks])

    def _embedded(self, prompts: Sequence[str]) -> Tensor:
        longest = self.network.config.text_config.max_position_embeddings
        tokens = self.tokens(list(prompts), padding=True, truncation=True, max_length=longest, return_tensors="pt")
        return self.network.text_projection(self.network.text_model(**tokens.to(self.network.device)).pooler_output)
