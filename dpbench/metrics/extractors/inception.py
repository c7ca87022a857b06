"""InceptionV3 of 2015-12-05: the features of FID, KID and IS (Szegedy et al., arXiv 1512.00567)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from dpbench.core.metric import Evaluation, Extractor

if TYPE_CHECKING:
    from torch import Tensor

FILE = "inception-2015-12-05.pt"
SIZE = 299


class Inception(Extractor):
    """Pool features of InceptionV3 of 2015-12-05.

    Szegedy et al. (arXiv 1512.00567). The network and the resizing are clean-fid's, in batches: float32 [b, 2048].

    Raises:
        MissingScore: the weights are not available.
    """

    batch: ClassVar[int] = 32

    def __init__(self, evaluation: Evaluation):
        from cleanfid.inception_torchscript import InceptionV3W

        from dpbench.metrics.extractors.images import RESIZING
        from dpbench.models.pretrained.finding import fingerprint, locate

        super().__init__(evaluation)
        folder = locate("inception")[FILE].parent
        self.network = InceptionV3W(str(folder), download=False).eval().to(evaluation.run.device)
        self.description = f"inception-2015-12-05 {fingerprint('inception')}, {SIZE} {RESIZING}"

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [b, 1 or 3, h, w] -> float32 [b, 2048]."""
        import torch

        from dpbench.metrics.extractors.images import coloured, resized
        from dpbench.models.exact import exact

        with exact(images.device):
            x = resized(coloured(images), SIZE).contiguous(memory_format=torch.channels_last)  # faster convolutions
            return self.network(x)

    def logits(self, features: Tensor) -> Tensor:
        """Pool features [b, 2048] -> logits [b, 1008] without the output layer's bias, for the Inception Score.

        These are the "logits_unbiased" of torch-fidelity. They need no second pass over the images.
        """
        from torch.nn import functional as F

        from dpbench.models.exact import exact

        weight = next(p for p in self.network.base.output.parameters() if p.ndim == 2)  # [1008, 2048]
        with exact(weight.device):
            return F.linear(features.to(weight.device), weight)
