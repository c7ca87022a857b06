"""The convolutions of VGG-19 (Simonyan and Zisserman, arXiv 1409.1556) up to relu5_1, with torchvision's weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from dpbench.models.pretrained.finding import locate

FILE = "vgg19-dcbb9e9d.pth"
STYLE = {"relu1_1": 1, "relu2_1": 6, "relu3_1": 11, "relu4_1": 20, "relu5_1": 29}
"""The layers whose Gram matrices describe style (Gatys et al., arXiv 1508.06576) -> position in torchvision's list."""


class StyleLayers(nn.Module):
    """VGG-19 up to relu5_1; returns the activations of the layers in `STYLE`."""

    def __init__(self) -> None:
        super().__init__()
        self.features = make_layers(cfgs["E"], batch_norm=False)[: max(STYLE.values()) + 1]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Activations of each layer in `STYLE`.

        Args:
            images: float [b, 3, h, w], standardised with ImageNet's mean and deviation, at least 16 x 16 pixels.

        Returns:
            one tensor [b, channels, h', w'] per layer.
        """
        activations, x = [], images
        for position, layer in enumerate(self.features):
            x = layer(x)
            if position in STYLE.values():
                activations.append(x)
        return activations


def load_style_layers() -> StyleLayers:
    """`StyleLayers` with the weights "vgg", in evaluation mode and frozen.

    Raises:
        NotInstalled: the weights are missing.
        DamagedWeights: the file is not the published one.
    """
    network = StyleLayers()
    stored = torch.load(locate("vgg")[FILE], map_location="cpu", weights_only=True)
    network.load_state_dict({name: stored[name] for name in network.state_dict()})
    for layer in network.features:
        if isinstance(layer, nn.ReLU):
            layer.inplace = False  # the returned activations must not be overwritten
    return network.eval().requires_grad_(False)
