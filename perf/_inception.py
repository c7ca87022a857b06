"""Inception with random weights, in files that torch-fidelity, pytorch-fid, clean-fid and dpbench can load."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

ARGUMENTS = ("inception-v3-compat", ["2048", "logits_unbiased"])
FIDELITY = "pt_inception-2015-12-05-6726825d.pth"  # the name in pytorch-fid; torch-fidelity publishes the same file
TORCHSCRIPT = "inception-2015-12-05.pt"


class Published(nn.Module):
    """The interface of NVIDIA's TorchScript."""

    def __init__(self, layers: nn.Module, output: nn.Linear):
        super().__init__()
        self.layers, self.output = layers, output

    def forward(self, images: Tensor, return_features: bool = False) -> Tensor:
        features = self.layers((images - 128) / 128)
        return features if return_features else self.output(features).softmax(1)


class Unloaded(FeatureExtractorInceptionV3):
    """torch-fidelity's network without loading weights."""

    def load_state_dict(self, *_: object) -> None:
        pass


def random_inception(folder: Path) -> FeatureExtractorInceptionV3:
    """Writes random weights as `FIDELITY` and `TORCHSCRIPT`; returns torch-fidelity's network with these weights."""
    torch.manual_seed(0)
    path = folder / FIDELITY
    torch.save({}, path)
    network = Unloaded(*ARGUMENTS, str(path))
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")  # keeps the scale of activations
    torch.save(network.state_dict(), path)
    theirs = FeatureExtractorInceptionV3(*ARGUMENTS, str(path))
    layers = nn.Sequential(*list(theirs.children())[:-1], nn.Flatten())
    published = Published(torch.jit.trace(layers.eval(), torch.zeros(1, 3, 299, 299), check_trace=False), theirs.fc)
    torch.jit.script(published.eval()).save(folder / TORCHSCRIPT)
    return theirs
