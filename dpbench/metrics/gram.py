"""Style and texture: the distance of mean Gram matrices of VGG activations (Gatys et al., arXiv 1508.06576)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.core.progress import track
from dpbench.evaluation import intervals as bootstrap
from dpbench.metrics.extractors.images import IMAGENET, at_least, coloured, standardised
from dpbench.models.exact import exact
from dpbench.models.pretrained.finding import fingerprint
from dpbench.models.pretrained.vgg import STYLE, StyleLayers, load_style_layers

BLOCKS = 20  # parts of the synthetic set that the interval resamples
SMALLEST = 64  # pixels: VGG halves an image four times before relu5_1
AT_ONCE = 64 * SMALLEST**2  # pixels in one pass through the network


class GramDistance(Metric):
    """How far apart the mean Gram matrices of two sets are, over five layers of VGG-19: 0 for the same textures.

        sum over layers l of  |mean G_l - mean G'_l|² / (5 · 4 N_l²),   G_l = F_l F_lᵀ / M_l

    with the activations F_l of relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1: N_l channels of M_l pixels. This is
    Gatys et al.'s style loss between an image that had the one set's mean style and one that had the other's, with
    torchvision's VGG-19 in place of their rescaled one and with G divided by M_l, so that sizes of images do not
    count. Smaller images than 64 x 64 are enlarged to it. Finite sets differ by chance: read it beside the `real` row.

    The interval resamples 20 interleaved parts of the synthetic set, with the reference as it is.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("gram", "low", "distance of the mean Gram matrices of VGG-19's layers relu1_1 to relu5_1"),
    )
    headline: ClassVar[bool] = False
    protocol: ClassVar[str] = f"VGG-19 dcbb9e9d, relu1_1 to relu5_1, from {SMALLEST} pixels"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"gram": value}, at least 0."""
        weights = fingerprint("vgg")
        network = load_style_layers().to(evaluation.run.device)
        reference = evaluation.reference
        key = [reference.fingerprint, len(reference), reference.spec.shape, weights, SMALLEST]
        real = evaluation.keep(
            "gram", key, lambda _: {"style": mean_styles(network, reference, 1, evaluation.run, "gram: reference")}
        )["style"]
        blocks = min(BLOCKS, len(evaluation.synthetic))
        styles = mean_styles(network, evaluation.synthetic, blocks, evaluation.run, "gram: synthetic")
        gaps = (styles - real).double()  # [blocks, d]; the distance is |mean of the rows|²
        products = (gaps @ gaps.T).numpy()
        return {
            "gram": bootstrap.of_means(
                lambda shares: np.einsum("rk,kl,rl->r", shares, products, shares),
                np.eye(blocks),
                evaluation.run.generator,
            )
        }


def mean_styles(network: StyleLayers, images: ImageDataset, blocks: int, run: RunContext, title: str) -> Tensor:
    """The mean style of `blocks` interleaved parts of a set: float32 [blocks, d]; their mean is that of the set."""
    parts = [range(block, len(images), blocks) for block in range(blocks)]
    size = max(1, AT_ONCE // max(SMALLEST, images.spec.resolution) ** 2)
    batches = [
        (block, part[start : start + size]) for block, part in enumerate(parts) for start in range(0, len(part), size)
    ]
    sums: list[Tensor | float] = [0.0] * blocks
    for block, indices in track(run.progress, batches, title, len(batches)):
        sums[block] += style(network, images, indices, run).double()
    return torch.stack([torch.as_tensor(total) for total in sums]).float() * (blocks / len(images))


def style(network: StyleLayers, images: ImageDataset, indices: Sequence[int], run: RunContext) -> Tensor:
    """The sum of the styles of some images, float32 [d] on the CPU: Gram matrices, scaled, one after the other.

    Two images' styles differ by a vector whose squared norm is Gatys et al.'s style loss.
    """
    batch = images.batch(indices).images
    assert batch is not None  # an ImageDataset's batches hold images
    device = torch.device(run.device)
    with exact(device):
        x = standardised(at_least(coloured(batch.to(device)), SMALLEST), *IMAGENET)
        return torch.cat([_gram(activations) for activations in network(x)]).cpu()


def _gram(activations: Tensor) -> Tensor:
    """[b, N, h, w] -> [N²], sum over images of F Fᵀ / M, divided by 2 N sqrt(number of layers)."""
    channels = activations.shape[1]
    flat = activations.flatten(2).transpose(0, 1)  # [N, b, M]
    wide = flat.flatten(1)
    return (wide @ wide.T / flat.shape[2]).flatten() / (2 * channels * math.sqrt(len(STYLE)))
