"""Diversity: how different two synthetic images of one class look (LPIPS: Zhang et al., arXiv 1801.03924)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dpbench.core.data import ImageDataset
from dpbench.core.errors import MissingScore
from dpbench.core.extras import import_extra
from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.core.progress import track
from dpbench.evaluation import intervals as bootstrap
from dpbench.evaluation.features import spaced
from dpbench.evaluation.labels import labels_at
from dpbench.metrics.extractors.images import at_least, coloured
from dpbench.models.exact import exact
from dpbench.models.pretrained.finding import locate

FILE = "alexnet-owt-7be5be79.pth"
PAIRS = 2000
BATCH = 50  # pairs
SMALLEST = 64  # pixels: the size of the patches that LPIPS was fitted to


class LPIPSDiversity(Metric):
    """Mean LPIPS between two synthetic images of the same class, or any two without classes: 0 where all look alike.

    2000 pairs at most, no image in two of them, from evenly spaced images. AlexNet with the linear heads of version
    0.1. Images smaller than 64 x 64 are enlarged to it. It has no best value: read it against the `real` row, that a
    generator misses from below when modes collapse and can pass from above with noise.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("lpips", "high", "mean LPIPS between synthetic images of one class: diversity, to be read against real"),
    )
    headline: ClassVar[bool] = False
    protocol: ClassVar[str] = f"AlexNet 7be5be79, heads v0.1, at most {PAIRS} pairs, from {SMALLEST} pixels"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"lpips": value}, at least 0.

        Raises:
            MissingScore: no class has two images.
        """
        network = load_lpips(evaluation.run.device)
        pairs = draw_pairs(evaluation.synthetic, PAIRS, evaluation.run.generator)
        if len(pairs) == 0:
            raise MissingScore("no class has two synthetic images")
        starts = range(0, len(pairs), BATCH)
        distances = [
            lpips_distances(network, evaluation.synthetic, pairs[start : start + BATCH], evaluation.run.device)
            for start in track(evaluation.run.progress, starts, "lpips: pairs", len(starts))
        ]
        return {"lpips": bootstrap.mean(np.concatenate(distances), evaluation.run.generator)}


def draw_pairs(images: ImageDataset, most: int, generator: torch.Generator) -> NDArray[np.int64]:
    """At most `most` pairs of images of one class, [pairs, 2]; no image is in two pairs."""
    chosen = spaced(len(images), 2 * most)
    labels = labels_at(images, chosen.tolist())
    order = torch.randperm(len(chosen), generator=generator).numpy()
    classes = np.zeros(len(chosen), dtype=np.int64) if labels is None else labels.numpy()
    members = [order[classes[order] == k] for k in np.unique(classes)]
    pairs = np.concatenate([own[: len(own) // 2 * 2].reshape(-1, 2) for own in members])
    return chosen[pairs]


def lpips_distances(network: Any, images: ImageDataset, pairs: NDArray[np.int64], device: str) -> NDArray[np.float32]:
    """The LPIPS distance of each pair [b, 2] of images: [b]."""
    with exact(torch.device(device)):
        left, right = (_scaled(images, side.tolist(), device) for side in pairs.T)
        return network(left, right).flatten().cpu().numpy()


def _scaled(images: ImageDataset, indices: Sequence[int], device: str) -> Tensor:
    batch = images.batch(indices).images
    assert batch is not None  # an ImageDataset's batches hold images
    return at_least(coloured(batch.to(device)), SMALLEST) / 127.5 - 1


def load_lpips(device: str) -> Any:
    """The package's LPIPS on AlexNet, with the heads that the package ships and torchvision's features.

    Raises:
        NotInstalled: the package or the weights are not here.
        DataError: the file is not the published one.
    """
    path = locate("lpips")[FILE]
    package = import_extra("lpips", "hub")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the package calls torchvision in an old way
        network = package.LPIPS(net="alex", version="0.1", pnet_rand=True, verbose=False)
    stored = torch.load(path, map_location="cpu", weights_only=True)
    network.net.load_state_dict({name: stored[_published(name)] for name in network.net.state_dict()})
    return network.eval().to(device)


def _published(name: str) -> str:
    """ "slice2.3.weight", as the package calls a layer -> "features.3.weight", as torchvision does."""
    return f"features.{name.partition('.')[2]}"
