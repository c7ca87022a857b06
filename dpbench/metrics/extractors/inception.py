"""InceptionV3 of 2015-12-05: the features of FID, KID and IS (Szegedy et al., arXiv 1512.00567)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from dpbench.core.metric import Evaluation, Extractor
from dpbench.metrics.extractors.images import RESIZING, coloured, resized
from dpbench.models.exact import exact
from dpbench.models.pretrained.finding import fingerprint, locate

FILE = "inception-2015-12-05.pt"
SIZE = 299


class Inception(Extractor):
    """Pool features of the Inception that clean-fid and StyleGAN use, with clean-fid's resizing: float32 [b, 2048]."""

    batch: ClassVar[int] = 32

    def __init__(self, evaluation: Evaluation):
        super().__init__(evaluation)
        self.network = torch.jit.load(locate("inception")[FILE], map_location=evaluation.run.device).eval()
        self.description = f"inception-2015-12-05 {fingerprint('inception')}, {SIZE} {RESIZING}"

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [b, 1 or 3, h, w] -> float32 [b, 2048]."""
        with exact(images.device):
            x = resized(coloured(images), SIZE).contiguous(memory_format=torch.channels_last)  # faster convolutions
            return self.network.layers((x - 128) / 128).flatten(1)

    def logits(self, features: Tensor) -> Tensor:
        """Pool features [b, 2048] -> class scores [b, 1008] without the output layer's bias, as IS takes them.

        (torch-fidelity's "logits_unbiased"; no second pass over the images is needed.)
        """
        weight = next(p for p in self.network.output.parameters() if p.ndim == 2)  # [1008, 2048]
        with exact(weight.device):
            return F.linear(features.to(weight.device), weight)
