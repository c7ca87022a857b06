"""Training and testing of classifiers by a recipe that is fixed in advance, so that accuracies can be compared.

There is no model selection: no validation set is used, and the weights after the last step are the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import DataError, MissingScore
from dpbench.core.progress import track
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.metrics.classifiers.base import Classifier

EVALUATION_BATCH = 200  # activations of more images do not fit into a processor's cache


@dataclass(frozen=True)
class Recipe:
    """A training recipe for classifiers: fp32, cross-entropy, the weights after the last step.

    Attributes:
        version: recorded in the row; see `classifiers.versions`.
        batch: images per step.
        steps: number of images -> number of steps.
        optimizer: parameters -> optimizer with the peak learning rate.
        rate: elapsed share of the training, in (0, 1) -> learning rate, relative to the peak.
        shift: maximum random shift of images, in pixels; the only augmentation.
        ema_decay: decay of the exponential moving average of the weights, which is then the result; 0 for none.
        small: whether networks are so small that a CPU is faster with one thread for each. They have no dropout.
    """

    version: str
    batch: int
    steps: Callable[[int], int]
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    rate: Callable[[float], float]
    shift: int = 0
    ema_decay: float = 0.0
    small: bool = False


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


def train(model: Classifier, images: ImageDataset, recipe: Recipe, run: RunContext, name: str) -> Tensor:
    """Trains `model` in place, on `run.device`.

    Batches are consecutive parts of random permutations of the images; images of a set smaller than a batch repeat.

    Args:
        model: the classifier.
        images: at least one image, with labels.
        recipe: how to train.
        run: device and progress; `generator` decides order, shifts and dropout, and the result is reproducible on the
            same device with the same number of threads.
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
            pixels, labels = _labelled(images.batch(indices), len(counts), images)
            counts += torch.bincount(labels, minlength=len(counts))
            x = random_shift(pixels, recipe.shift, run.generator).to(device)
            loss = F.cross_entropy(model(scaled(x)), labels.to(device))
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
def test(model: Classifier, images: ImageDataset, run: RunContext) -> NDArray[np.float64]:
    """1 for each image whose label is the most likely class under `model`, else 0: float64 [n], in order.

    Args:
        model: the classifier, on `run.device`; set to evaluation mode.
        images: images with labels.
        run: the device.

    Raises:
        DataError: a label is outside the classes.
    """
    model.eval()
    correct = []
    for start in range(0, len(images), EVALUATION_BATCH):
        batch = images.batch(range(start, min(start + EVALUATION_BATCH, len(images))))
        pixels, labels = _labelled(batch, model.head.out_features, images)
        correct.append(model(scaled(pixels.to(run.device))).argmax(1).cpu() == labels)
    return torch.cat(correct).double().numpy()


def scaled(images: Tensor) -> Tensor:
    """uint8 [b, c, h, w] -> float32 in [-1, 1], channels last in memory, which is faster on CPUs and GPUs."""
    return (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def random_shift(images: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Shifts each image by up to `most` pixels in each direction, repeating edge pixels: [b, c, h, w] on the CPU."""
    if most == 0:
        return images
    b, _, h, w = images.shape
    rows, columns = torch.randint(0, 2 * most + 1, (2, b), generator=generator).numpy()
    margins = ((0, 0), (0, 0), (most, most), (most, most))
    windows = sliding_window_view(np.pad(images.numpy(), margins, mode="edge"), (h, w), axis=(2, 3))
    return torch.from_numpy(windows[np.arange(b), :, rows, columns])


def _labelled(batch: Batch, n_classes: int, images: ImageDataset) -> tuple[Tensor, Tensor]:
    """A batch's images, uint8 [b, c, h, w], and its labels, int64 [b] on the CPU, in 0 ... n_classes - 1.

    Raises:
        DataError: a label is outside the classes.
    """
    assert batch.images is not None
    assert batch.labels is not None
    labels = batch.labels.cpu()
    if labels.min() < 0 or labels.max() >= n_classes:
        raise DataError(f"{images.spec.name} has labels outside 0 to {n_classes - 1}")
    return batch.images, labels


def _batches(n: int, size: int, steps: int, generator: torch.Generator) -> Iterator[list[int]]:
    """`steps` lists of `size` indices below n; each index occurs once before any index repeats."""
    left: list[int] = []
    for _ in range(steps):
        while len(left) < size:
            left += torch.randperm(n, generator=generator).tolist()
        yield left[:size]
        left = left[size:]


def _ema_update(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """The update of an exponential moving average whose decay, (2 + k) / (11 + k) in update k, rises to `decay`."""
    return lambda average, new, k: torch.lerp(new, average, min(decay, (2 + int(k)) / (11 + int(k))))


@contextmanager
def repeatable(generator: torch.Generator, device: torch.device) -> Iterator[None]:
    """Seeds torch's global generator, which dropout uses, from `generator`, and restores its state afterwards."""
    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
    ):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        yield


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Lets torch's operations use `number` threads of a CPU, of this thread and those started in it."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
