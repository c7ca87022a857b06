"""DINOv2 (Oquab et al., arXiv 2304.07193): the features of FD-DINOv2 (Stein et al., arXiv 2306.04675)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from dpbench.core.metric import Evaluation, Extractor

if TYPE_CHECKING:
    from torch import Tensor

SIZE = 224


class DINOv2(Extractor):
    """Class token of DINOv2 ViT-L/14 at 224 pixels.

    Oquab et al. (arXiv 2304.07193). The token is read after the last normalisation: float32 [b, 1024]. Images are
    resized in float, which dgm-eval, the code of Stein et al., calls `clean_resize`; its default rounds resized pixels
    to 8 bits.

    Raises:
        MissingScore: the weights or transformers are not available.
    """

    batch: ClassVar[int] = 64

    def __init__(self, evaluation: Evaluation):
        from dpbench.metrics.extractors.images import RESIZING
        from dpbench.models.pretrained.finding import fingerprint
        from dpbench.models.pretrained.hub import from_hub

        super().__init__(evaluation)
        (network,) = from_hub("dinov2", "Dinov2Model")
        self.network = network.float().eval().to(evaluation.run.device)
        self.description = f"dinov2-large {fingerprint('dinov2')}, {SIZE} {RESIZING}"

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [b, 1 or 3, h, w] -> float32 [b, 1024]."""
        from dpbench.metrics.extractors.images import IMAGENET, coloured, resized, standardised
        from dpbench.models.exact import exact

        with exact(images.device):
            x = standardised(resized(coloured(images), SIZE), *IMAGENET)
            return self.network(pixel_values=x).last_hidden_state[:, 0]
