"""The one way in which metrics train a classifier, fixed in advance so that accuracies can be compared.

The number of steps is fixed, so the cost does not grow with the number of images. Nothing is chosen while training:
there is no validation set, and the weights after the last step are the result. A change of anything here, or of the
networks, needs a new `VERSION`: it stands in the row, and rows that differ in it are not ranked against each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dpbench.core.data import ImageDataset
from dpbench.core.progress import track
from dpbench.core.run import RunContext
from dpbench.models.classifiers import Classifier

VERSION = "1"
STEPS = 500
BATCH = 128
LEARNING_RATE = 2e-3  # of Adam, at its peak: linear rise over the first fifth of the steps, then a cosine to zero
WARM_UP = 0.2
SHIFT = 2  # pixels, at most, in each direction: the only augmentation
EVALUATION_BATCH = 500


def train(model: Classifier, images: ImageDataset, run: RunContext, name: str) -> None:
    """Trains `model` in place on labelled images: fp32 on `run.device`, cross-entropy, Adam.

    Batches go through random permutations of the images, one after the other; a set smaller than a batch repeats.

    Args:
        images: at least one image, with labels.
        run: its `generator` decides order and shifts; with the same device and threads, the result repeats.
        name: what the progress bar is called.
    """
    device = torch.device(run.device)
    model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _rate)
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        for indices in track(run.progress, _batches(len(images), run.generator), name, STEPS):
            batch = images.batch(indices)
            assert batch.images is not None
            assert batch.labels is not None
            x = random_shift(batch.images, SHIFT, run.generator).to(device)
            loss = F.cross_entropy(model(_scaled(x)), batch.labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


@torch.no_grad()
def test(model: nn.Module, images: ImageDataset, run: RunContext) -> float:
    """The fraction of labelled images whose label `model` finds the most likely, in [0, 1]."""
    model.eval()
    correct = 0
    for start in range(0, len(images), EVALUATION_BATCH):
        batch = images.batch(range(start, min(start + EVALUATION_BATCH, len(images))))
        assert batch.images is not None
        assert batch.labels is not None
        predictions = model(_scaled(batch.images.to(run.device))).argmax(1).cpu()
        correct += int((predictions == batch.labels.cpu()).sum())
    return correct / len(images)


def random_shift(images: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Moves each image by up to `most` pixels in each direction, repeating edge pixels: any dtype, [b, c, h, w]."""
    b, _, h, w = images.shape
    moves = torch.randint(-most, most + 1, (2, b, 1), generator=generator)
    rows = (torch.arange(h) + moves[0]).clamp(0, h - 1)  # [b, h]
    columns = (torch.arange(w) + moves[1]).clamp(0, w - 1)  # [b, w]
    last = images.permute(0, 2, 3, 1)  # [b, h, w, c]: a gathered pixel is c neighbouring numbers
    shifted = last[torch.arange(b)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return shifted.permute(0, 3, 1, 2)


def _scaled(images: Tensor) -> Tensor:
    """uint8 -> float32 in [-1, 1], channels last in memory, which is faster on CPUs and GPUs alike."""
    return (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def _rate(step: int) -> float:
    """The learning rate after `step` steps, as a fraction of its peak."""
    rise = WARM_UP * STEPS
    if step < rise:
        return (step + 1) / rise
    return (1 + math.cos(math.pi * (step - rise) / (STEPS - rise))) / 2


def _batches(n: int, generator: torch.Generator) -> Iterator[list[int]]:
    """`STEPS` lists of `BATCH` indices below n; every index comes once before any comes again."""
    left: list[int] = []
    for _ in range(STEPS):
        while len(left) < BATCH:
            left += torch.randperm(n, generator=generator).tolist()
        yield left[:BATCH]
        left = left[BATCH:]
