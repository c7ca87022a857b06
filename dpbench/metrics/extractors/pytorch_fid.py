"""InceptionV3 in pytorch-fid's port to PyTorch: the features behind DPImageBench's fidelity metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from dpbench.core.metric import Evaluation, Extractor

if TYPE_CHECKING:
    from torch import Tensor

FILE = "pt_inception-2015-12-05-6726825d.pth"
SIZE = 299


class PytorchFID(Extractor):
    """Pool features of InceptionV3 in pytorch-fid's port.

    float32 [b, 2048], from github.com/mseitzer/pytorch-fid, src/pytorch_fid/inception.py (commit 1232cd6). It differs
    from `inception` in the input of the network: images are resized to 299 pixels bilinearly, without antialiasing, and
    pixels are scaled to [-1, 1]. FIDs of the two differ.

    Raises:
        MissingScore: the weights are not available.
    """

    batch: ClassVar[int] = 32

    def __init__(self, evaluation: Evaluation):
        import torch
        from cleanfid.inception_pytorch import FIDInceptionA, FIDInceptionC, FIDInceptionE_1, FIDInceptionE_2
        from torchvision.models import inception

        from dpbench.models.pretrained.finding import fingerprint, locate

        super().__init__(evaluation)
        network = inception.Inception3(
            num_classes=1008,
            aux_logits=False,
            init_weights=False,
            inception_blocks=[
                inception.BasicConv2d,
                FIDInceptionA,
                inception.InceptionB,
                FIDInceptionC,
                inception.InceptionD,
                FIDInceptionE_1,
                inception.InceptionAux,
            ],
        )
        network.Mixed_7c = FIDInceptionE_2(2048)
        network.load_state_dict(torch.load(locate("pytorch-fid")[FILE], "cpu", weights_only=True))
        self.output = network.fc.to(evaluation.run.device)
        network.fc = torch.nn.Identity()
        self.network = network.eval().to(evaluation.run.device)
        self.description = f"pytorch-fid inception {fingerprint('pytorch-fid')}, {SIZE} bilinear"

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [b, 1 or 3, h, w] -> float32 [b, 2048]."""
        import torch
        from torch.nn import functional as F

        from dpbench.metrics.extractors.images import coloured
        from dpbench.models.exact import exact

        with exact(images.device):
            x = F.interpolate(coloured(images) / 255, size=(SIZE, SIZE), mode="bilinear", align_corners=False)
            x = (2 * x - 1).contiguous(memory_format=torch.channels_last)  # faster convolutions
            features: Tensor = self.network(x)
            return features

    def logits(self, features: Tensor) -> Tensor:
        """Pool features [b, 2048] -> logits [b, 1008], with the output layer's bias."""
        from dpbench.models.exact import exact

        device = self.output.weight.device
        with exact(device):
            logits: Tensor = self.output(features.to(device))
            return logits
