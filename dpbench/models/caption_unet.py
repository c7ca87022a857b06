"""A U-Net whose cross-attention sees the words of a caption, for pixels and for latents."""

from __future__ import annotations

from torch import Tensor, nn

from dpbench.models.caption_context import CaptionContext
from dpbench.models.condition_unet import ConditionUNet, condition_unet
from dpbench.models.unet_config import UNetConfig


class CaptionUNet(ConditionUNet):
    """F(x, time step or noise level, words), with the shape of x.

    Words are float [b, words, d], one vector each, and 0 where there is none. A caption without words is the null
    condition.

    Args:
        unet: a `UNet2DConditionModel`.
        captions: turns words into what cross-attention sees.
        patch: side of the pixel patches folded into the channels of the network's input.
    """

    def __init__(self, unet: nn.Module, captions: CaptionContext, patch: int = 1):
        super().__init__(unet)
        self.captions = captions
        self.to_patches = nn.PixelUnshuffle(patch)
        self.to_pixels = nn.PixelShuffle(patch)

    @property
    def null(self) -> int:
        """The null condition: all words are 0."""
        return 0

    @property
    def embedder(self) -> nn.Module:
        """See `ConditionUNet`: the projection of words, if there is one."""
        return self.captions

    def published_state(self) -> dict[str, Tensor]:
        """See `ConditionUNet`."""
        return dict(self.state_dict())

    def forward(self, x: Tensor, time: Tensor | int, y: Tensor) -> Tensor:
        """See `ConditionUNet`."""
        context, mask = self.captions(y)
        seen = {"encoder_hidden_states": context, "encoder_attention_mask": mask}
        return self.to_pixels(self.unet(self.to_patches(x), time, **seen).sample)


def pixel_caption_unet(
    shape: tuple[int, int, int], config: UNetConfig, captions: CaptionContext, width: int
) -> CaptionUNet:
    """An untrained network for images of a shape (channels, height, width).

    Args:
        shape: shape of an image.
        config: sizes of the network.
        captions: turns words into what cross-attention sees.
        width: size of a vector that cross-attention sees.
    """
    channels, side = shape[0] * config.patch**2, shape[1] // config.patch
    return CaptionUNet(condition_unet(channels, side, config, width), captions, config.patch)
