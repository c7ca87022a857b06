"""Training and testing of classifiers by a recipe that is fixed in advance, so that accuracies can be compared.

There is no model selection: no validation set is used, and the weights after the last step are the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import MissingScore
from dpbench.core.progress import track
from dpbench.core.specs import DatasetSpec
from dpbench.metrics.classifiers.base import Classifier
from dpbench.metrics.classifiers.labelled import LabelledImages
from dpbench.models.deterministic import deterministic
from dpbench.models.image_range import to_unit
from dpbench.models.precision import full_precision

EVALUATION_BATCH = 200  # activations of more images do not fit into a processor's cache


@dataclass(frozen=True)
class Recipe:
    """A training recipe for classifiers: cross-entropy, the weights after the last step.

    Attributes:
        version: recorded in the row; see `classifiers.versions`.
        batch: images per step.
        steps: number of images -> number of steps.
        optimizer: parameters -> optimizer with the peak learning rate.
        rate: elapsed share of the training, in (0, 1) -> learning rate, relative to the peak.
        smoothing: share of the label that is spread evenly over all classes (label smoothing).
        shift: maximum random shift of images, in pixels; the only augmentation.
        ema_decay: decay of the exponential moving average of the weights, which is then the result; 0 for none.
        small: whether networks are so small that a CPU is faster with one thread per network. They have no dropout, and
            are trained in fp32; other networks are trained in the precision of the run.
        runs: how often each classifier is trained, each time from other initial weights and in another image order.
    """

    version: str
    batch: int
    steps: Callable[[int], int]
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    rate: Callable[[float], float]
    smoothing: float = 0.0
    shift: int = 0
    ema_decay: float = 0.0
    small: bool = False
    runs: int = 1


def require_labels(spec: DatasetSpec, images: ImageDataset, role: str) -> None:
    """Checks that a classifier can be trained on a set of images.

    Args:
        spec: specification of the sensitive dataset.
        images: at least one image.
        role: name of the images in the message, e.g. "synthetic".

    Raises:
        MissingScore: the dataset has fewer than two classes, or the images have no labels.
    """
    if not spec.n_classes:
        raise MissingScore("the dataset has no classes")
    if spec.n_classes == 1:
        raise MissingScore("the dataset has only one class; a classifier needs at least two")
    if images.batch([0]).labels is None:
        raise MissingScore(f"the {role} images have no labels")


def train(model: Classifier, images: LabelledImages, recipe: Recipe, run: RunContext, name: str) -> Tensor:
    """Trains `model` in place, on `run.device`.

    Batches are consecutive parts of random permutations of the images; images of a set smaller than a batch repeat.

    Args:
        model: the classifier.
        images: at least one image.
        recipe: how to train.
        run: device, precision and progress; `generator` decides order, shifts and dropout, and the result is
            reproducible on the same device with the same number of threads.
        name: label of the progress bar.

    Returns:
        Number of training images of each class, with repetitions: int64 [n_classes].

    Raises:
        DataError: a label is outside the classes.
    """
    device = torch.device(run.device)
    model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    steps = recipe.steps(len(images))
    optimizer = recipe.optimizer(model.parameters())
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: recipe.rate((step + 0.5) / steps))
    average = AveragedModel(model, avg_fn=_ema_update(recipe.ema_decay)) if recipe.ema_decay else None
    counts = torch.zeros(model.head.out_features, dtype=torch.int64)
    with repeatable(run.generator, device):
        batches = _batches(len(images), recipe.batch, steps, run.generator)
        for indices in track(run.progress, batches, name, steps):
            pixels, labels = images.batch(indices)
            counts += torch.bincount(labels, minlength=len(counts))
            x = scaled(random_shift(pixels, recipe.shift, run.generator).to(device))
            with run.autocast() if not recipe.small else nullcontext():
                loss = F.cross_entropy(model(x), labels.to(device), label_smoothing=recipe.smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            if average is not None:
                average.update_parameters(model)
    if average is not None:
        model.load_state_dict(average.module.state_dict())
    return counts


@torch.no_grad()
def test(model: Classifier, images: LabelledImages, device: str) -> Tensor:
    """Whether the label of each image is the most likely class under `model`: bool [n] on the CPU, in order.

    Args:
        model: the classifier, on the device; set to evaluation mode.
        images: the images to classify.
        device: name of the device.

    Raises:
        DataError: a label is outside the classes.
    """
    model.eval()
    batches = images.batches(EVALUATION_BATCH)
    return torch.cat([model(scaled(pixels.to(device))).argmax(1).cpu() == labels for pixels, labels in batches])


def scaled(images: Tensor) -> Tensor:
    """uint8 [b, c, h, w] -> float32 in [-1, 1], channels last in memory, which is faster on CPUs and GPUs."""
    return to_unit(images).contiguous(memory_format=torch.channels_last)


def random_shift(images: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Shifts each image by up to `most` pixels in each direction, repeating edge pixels: [b, c, h, w] on the CPU."""
    if most == 0:
        return images
    b, _, h, w = images.shape
    rows, columns = torch.randint(0, 2 * most + 1, (2, b), generator=generator).numpy()
    margins = ((0, 0), (0, 0), (most, most), (most, most))
    windows = sliding_window_view(np.pad(images.numpy(), margins, mode="edge"), (h, w), axis=(2, 3))
    return torch.from_numpy(windows[np.arange(b), :, rows, columns])


def _batches(n: int, size: int, steps: int, generator: torch.Generator) -> Iterator[Tensor]:
    """`steps` times `size` indices below n, int64; each index occurs once before any index repeats."""
    left = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        while len(left) < size:
            left = torch.cat([left, torch.randperm(n, generator=generator)])
        yield left[:size]
        left = left[size:]


def _ema_update(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """The update of an exponential moving average whose decay is (2 + k) / (11 + k) in update k, at most `decay`."""
    return lambda average, new, k: torch.lerp(new, average, min(decay, (2 + int(k)) / (11 + int(k))))


@contextmanager
def repeatable(generator: torch.Generator, device: torch.device) -> Iterator[None]:
    """Seeds torch's global generator, which dropout uses, from `generator`; full fp32, deterministic algorithms.

    Restores state and settings afterwards.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices), full_precision(device), deterministic():
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        yield


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Lets torch's operations in this thread, and in threads that it starts, use `number` CPU threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
