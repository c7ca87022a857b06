"""LPIPS distances between pairs of images of one class (Zhang et al., arXiv 1801.03924)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dpbench.core.data import ImageDataset
from dpbench.core.extras import import_extra
from dpbench.evaluation.labels import labels_of
from dpbench.evaluation.stratified import Indices, stratified_part
from dpbench.metrics.extractors.images import at_least, coloured
from dpbench.models.exact import exact
from dpbench.models.pretrained.finding import locate

FILE = "alexnet-owt-7be5be79.pth"


def draw_pairs(images: ImageDataset, most: int, generator: torch.Generator) -> Indices:
    """At most `most` pairs of images of one class, int64 [pairs, 2]; no image is in two pairs."""
    labels = labels_of(images)
    chosen = stratified_part(labels, len(images), 2 * most)
    order = torch.randperm(len(chosen), generator=generator).numpy()
    classes = np.zeros(len(chosen), dtype=np.int64) if labels is None else labels[chosen]
    members = [order[classes[order] == k] for k in np.unique(classes)]
    pairs = np.concatenate([own[: len(own) // 2 * 2].reshape(-1, 2) for own in members])
    return chosen[pairs]


def lpips_distances(
    network: Any, images: ImageDataset, pairs: Indices, smallest: int, device: str
) -> NDArray[np.float32]:
    """The LPIPS distance of each pair [b, 2] of images: [b]. Images below `smallest` pixels are enlarged to it."""
    with exact(torch.device(device)):
        left, right = (_scaled(images, side.tolist(), smallest, device) for side in pairs.T)
        return network(left, right).flatten().cpu().numpy()


def _scaled(images: ImageDataset, indices: Sequence[int], smallest: int, device: str) -> Tensor:
    batch = images.batch(indices).images
    assert batch is not None  # an ImageDataset's batches hold images
    return at_least(coloured(batch.to(device)), smallest) / 127.5 - 1


def load_lpips(device: str) -> Any:
    """The package's LPIPS on AlexNet, with the heads that the package ships and torchvision's features.

    Raises:
        NotInstalled: the package or the weights are not available.
        DamagedWeights: the weights file is not the published one.
    """
    path = locate("lpips")[FILE]
    package = import_extra("lpips", "hub")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the package uses a deprecated torchvision interface
        network = package.LPIPS(net="alex", version="0.1", pnet_rand=True, verbose=False)
    stored = torch.load(path, map_location="cpu", weights_only=True)
    network.net.load_state_dict({name: stored[_published(name)] for name in network.net.state_dict()})
    return network.eval().to(device)


def _published(name: str) -> str:
    """Parameter name in the package, "slice2.3.weight" -> name in torchvision, "features.3.weight"."""
    return f"features.{name.partition('.')[2]}"
