"""ImageReward (Xu et al., arXiv 2304.05977) of images and class prompts, as in DPImageBench."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dpbench.core.errors import MissingScore, NotInstalled
from dpbench.core.metric import Column, Estimate, Evaluation, Metric
from dpbench.core.progress import track
from dpbench.evaluation import intervals as bootstrap
from dpbench.evaluation.labels import labels_of
from dpbench.metrics.dpimagebench_fidelity import IMAGES, check_size, warn_of_few

if TYPE_CHECKING:
    import torch

FOLDER = Path("~/.cache/ImageReward")
"""The folder of the package's weights."""
FILES = ("ImageReward.pt", "med_config.json")
BATCH = 500

_CLOTHES = ("Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_THINGS = (
    "an airplane",
    "an automobile",
    "a bird",
    "a cat",
    "a deer",
    "a dog",
    "a frog",
    "a horse",
    "a ship",
    "a truck",
)

PROMPTS: dict[str, tuple[str, ...]] = {
    "mnist": (
        *(f"A grayscale image of a handwritten digit {digit}" for digit in range(2)),
        *(f"an image of hand-written {digit}" for digit in range(2, 10)),
    ),
    "fashion-mnist": (
        "A grayscale image of a T-shirt",
        "A grayscale image of a handwritten digit Trouser",
        *(f"an image of hand-written {clothes}" for clothes in _CLOTHES),
    ),
    "cifar10": tuple(f"An image of {thing}" for thing in _THINGS),
}
"""DPImageBench's prompts, in the order of classes, including its slips. Its prompts for CIFAR-100 are not in the order
of the classes, so they are left out."""


class DPImageBenchImageReward(Metric):
    """DPImageBench's ImageReward of class prompts; slow.

    The mean over synthetic images of ImageReward-v1.0, a model of human preference, for the image and DPImageBench's
    prompt of its class (evaluation/evaluator.py, commit ec57378). It needs the package `image-reward` (1.5 is
    supported) and, in its folder `~/.cache/ImageReward`, the files ImageReward.pt and med_config.json of
    huggingface.co/THUDM/ImageReward. dpbench neither downloads nor checks them, and has not been tested with them:
    compare the value with the `real` row.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column("dpimagebench_image_reward", "high", "DPImageBench's ImageReward: human preference for class prompts"),
    )
    default: ClassVar[bool] = False
    headline: ClassVar[bool] = False
    protocol: ClassVar[str] = "v1, ImageReward-v1.0"

    def compute(self, evaluation: Evaluation) -> Mapping[str, Estimate]:
        """{"dpimagebench_image_reward": value}, in the standardised units of the package.

        Raises:
            MissingScore: images of another size or without labels, no prompts for the dataset, or no ImageReward.
        """
        import torch
        from PIL import Image

        from dpbench.models.exact import exact

        synthetic, device = evaluation.synthetic, torch.device(evaluation.run.device)
        if evaluation.spec.name not in PROMPTS:
            raise MissingScore(f"DPImageBench has no prompts for the classes of {evaluation.spec.name}")
        check_size(evaluation)
        labels = labels_of(synthetic)
        if labels is None:
            raise MissingScore("the synthetic images have no labels to choose prompts by")
        model = load_model(device)
        warn_of_few(len(synthetic), IMAGES)
        rewards = np.empty(len(synthetic))
        starts = range(0, len(synthetic), BATCH)
        for start in track(evaluation.run.progress, starts, "ImageReward", len(starts)):
            rows = np.arange(start, min(start + BATCH, len(synthetic)))
            images = synthetic.batch(rows.tolist()).images
            assert images is not None  # an ImageDataset's batches hold images
            pixels = images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).cpu().numpy()
            for label in np.unique(labels[rows]):
                chosen = labels[rows] == label
                pictures = [Image.fromarray(image) for image in pixels[chosen]]
                with exact(device):
                    rewards[rows[chosen]] = model.score(PROMPTS[evaluation.spec.name][label], pictures)
        return {"dpimagebench_image_reward": bootstrap.mean(rewards, evaluation.run.generator)}


def load_model(device: torch.device) -> Any:
    """ImageReward-v1.0, with score(prompt, PIL images) -> rewards.

    Raises:
        NotInstalled: the package or a file is missing.
    """
    try:
        package = importlib.import_module("ImageReward")
    except ImportError as error:
        raise NotInstalled(f"ImageReward is not installed; its import fails with: {error}") from error
    weights, config = (FOLDER.expanduser() / name for name in FILES)
    if not (weights.is_file() and config.is_file()):
        raise NotInstalled(
            f"the weights of ImageReward are not installed; put {' and '.join(FILES)} of "
            f"huggingface.co/THUDM/ImageReward into {weights.parent}"
        )
    return package.load(str(weights), device, med_config=str(config))
