"""Mean Gram matrices of VGG-19 activations: the style of a set of images (Gatys et al., arXiv 1508.06576)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.progress import track
from dpbench.evaluation.stratified import Indices
from dpbench.metrics.extractors.images import IMAGENET, at_least, coloured, standardised
from dpbench.models.exact import exact
from dpbench.models.pretrained.vgg import STYLE, StyleLayers

AT_ONCE = 64 * 64**2  # pixels in one pass through the network


def mean_styles(
    network: StyleLayers, images: ImageDataset, parts: Sequence[Indices], smallest: int, run: RunContext, title: str
) -> Tensor:
    """The style of each part of a set, float32 [parts, d]; the mean of all rows is the style of the set.

    Args:
        network: VGG-19, on the run's device.
        images: the set.
        parts: the positions of the images of each part; together, the parts are the set.
        smallest: smaller images are enlarged to this height and width.
        run: device and progress.
        title: label of the progress bar.
    """
    size = max(1, AT_ONCE // max(smallest, images.spec.resolution) ** 2)
    batches = [
        (number, part[start : start + size]) for number, part in enumerate(parts) for start in range(0, len(part), size)
    ]
    sums: list[Tensor | float] = [0.0] * len(parts)
    for number, indices in track(run.progress, batches, title, len(batches)):
        sums[number] += style(network, images, indices.tolist(), smallest, run).double()
    return torch.stack([torch.as_tensor(total) for total in sums]).float() * (len(parts) / len(images))


def style(network: StyleLayers, images: ImageDataset, indices: Sequence[int], smallest: int, run: RunContext) -> Tensor:
    """The sum of the styles of some images, float32 [d] on the CPU: Gram matrices, scaled and concatenated.

    Two images' styles differ by a vector whose squared norm is Gatys et al.'s style loss.
    """
    batch = images.batch(indices).images
    assert batch is not None  # an ImageDataset's batches hold images
    device = torch.device(run.device)
    with exact(device):
        x = standardised(at_least(coloured(batch.to(device)), smallest), *IMAGENET)
        return torch.cat([_gram(activations) for activations in network(x)]).cpu()


def _gram(activations: Tensor) -> Tensor:
    """Activations [b, N, h, w] -> the sum over images of F Fᵀ / M, divided by 2 N sqrt(number of layers): [N²]."""
    channels = activations.shape[1]
    flat = activations.flatten(2).transpose(0, 1)  # [N, b, M]
    wide = flat.flatten(1)
    return (wide @ wide.T / flat.shape[2]).flatten() / (2 * channels * math.sqrt(len(STYLE)))
