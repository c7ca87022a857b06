"""Random batches of public images, scaled to [-1, 1] and augmented."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from dpbench.core.data import ImageDataset
from dpbench.core.specs import Batch
from dpbench.training.augmentation import Augmentation

Draw = Callable[[int], tuple[Tensor, Tensor | None]]
"""Number of images -> (float images [b, c, h, w] in [-1, 1], their conditions, such as int64 labels [b], or None)."""


def to_unit(images: Tensor) -> Tensor:
    """uint8 [0, 255] -> float [-1, 1]."""
    return images.float() / 127.5 - 1


def unit_images(batch: Batch) -> Tensor:
    """The uint8 images of a batch as float [b, c, h, w] in [-1, 1]; the batch must have images."""
    assert batch.images is not None
    return to_unit(batch.images)


def to_uint8(images: Tensor) -> Tensor:
    """float, nominally in [-1, 1] -> uint8 [0, 255], clamped and rounded."""
    return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


class PublicBatches:
    """Random batches of a public dataset.

    Args:
        dataset: public images.
        augmentation: see `AUGMENTATIONS`.
        device: device of the batches.
        generator: source of the choice of records and of the augmentations (CPU).
    """

    def __init__(self, dataset: ImageDataset, augmentation: Augmentation, device: str, generator: torch.Generator):
        self._dataset = dataset
        self._augment = AUGMENTATIONS[augmentation]
        self._device = device
        self._generator = generator

    def batch(self, size: int) -> Batch:
        """Draws records with replacement; the images are augmented, float [size, c, h, w] in [-1, 1], on the device."""
        return self.at(torch.randint(len(self._dataset), (size,), generator=self._generator))

    def at(self, indices: Tensor) -> Batch:
        """The records at `indices` (int64 [b]), with images as in `batch`."""
        batch = self._dataset.batch(indices.tolist())
        return replace(batch, images=self._augment(unit_images(batch), self._generator)).to(self._device)

    def draw(self, size: int) -> tuple[Tensor, Tensor | None]:
        """The images and labels (int64 [size] or None) of a random batch; see `batch`."""
        batch = self.batch(size)
        assert batch.images is not None
        return batch.images, batch.labels

    def collect(self, size: int, chunk: int = 500) -> Tensor:
        """Draws `size` images in chunks: float [size, c, h, w] in [-1, 1]."""
        return torch.cat([self.draw(min(chunk, size - done))[0] for done in range(0, size, chunk)])


def _keep(images: Tensor, generator: torch.Generator) -> Tensor:
    return images


def _flip(images: Tensor, generator: torch.Generator) -> Tensor:
    mirrored = torch.rand(len(images), 1, 1, 1, generator=generator, device=generator.device) < 0.5
    return torch.where(mirrored.to(images.device), images.flip(-1), images)


def _strokes(images: Tensor, generator: torch.Generator) -> Tensor:
    """Varies handwriting on black: rotation, slant, size, position, stroke width and pressure."""
    b = len(images)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(b, generator=generator)

    angle, slant, zoom, stretch = uniform(-0.3, 0.3), uniform(-0.4, 0.4), uniform(0.8, 1.4), uniform(0.9, 1.4)
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    shift = uniform(-0.15, 0.15), uniform(-0.15, 0.15)
    rows = torch.stack([cos * stretch, slant * zoom - sin, shift[0], sin, cos, shift[1]], dim=1).reshape(b, 2, 3)
    grid = F.affine_grid(rows, list(images.shape), align_corners=False)
    ink = F.grid_sample((images + 1) / 2, grid, align_corners=False)
    wide = F.max_pool2d(ink, 3, stride=1, padding=1)  # strokes widened by one pixel on every side
    width, pressure = uniform(0, 0.8)[:, None, None, None], uniform(1, 2.5)[:, None, None, None]
    return ((ink + width * (wide - ink)) * pressure).clamp(0, 1) * 2 - 1


def _colours(images: Tensor, generator: torch.Generator) -> Tensor:
    """Permutes the colour channels of each image at random; labels and captions that name colours no longer hold."""
    b, c, h, w = images.shape
    order = torch.rand(b, c, generator=generator).argsort(1).to(images.device)
    return images.gather(1, order[:, :, None, None].expand(b, c, h, w))


def _rand_augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """RandAugment (arXiv 1909.13719): two random operations per image, with a random magnitude from 1 to 9 of 30.

    The library draws from torch's own CPU generator, which is seeded by `generator` and then restored.
    """
    from torchvision.transforms import v2

    bilinear = v2.InterpolationMode.BILINEAR
    policies = [v2.RandAugment(2, magnitude, interpolation=bilinear) for magnitude in range(1, 10)]
    magnitudes = torch.randint(len(policies), (len(images),), generator=generator).tolist()
    seed = int(torch.randint(2**62, (1,), generator=generator))
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        changed = [policies[m](image) for m, image in zip(magnitudes, to_uint8(images), strict=True)]
    return to_unit(torch.stack(changed))


AUGMENTATIONS = {"none": _keep, "flip": _flip, "strokes": _strokes, "colours": _colours,
                 "rand-augment": _rand_augment}  # fmt: skip
