"""Random changes of public images, which are in [-1, 1]. Importable without torch: settings name an augmentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Augmentation = Literal["none", "flip", "strokes", "colours", "rand-augment"]
"""The name of an augmentation; see `AUGMENTATIONS`."""


def _keep(images: Tensor, generator: torch.Generator) -> Tensor:
    return images


def _flip(images: Tensor, generator: torch.Generator) -> Tensor:
    import torch

    mirrored = torch.rand(len(images), 1, 1, 1, generator=generator, device=generator.device) < 0.5
    return torch.where(mirrored.to(images.device), images.flip(-1), images)


def _strokes(images: Tensor, generator: torch.Generator) -> Tensor:
    """Varies handwriting on black: rotation, slant, size, position, stroke width and pressure."""
    import torch
    import torch.nn.functional as F

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
    import torch

    b, c, h, w = images.shape
    order = torch.rand(b, c, generator=generator).argsort(1).to(images.device)
    return images.gather(1, order[:, :, None, None].expand(b, c, h, w))


def _rand_augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """RandAugment (arXiv 1909.13719): two random operations per image, with a random magnitude from 1 to 9 of 30.

    The library draws from torch's own CPU generator, which is seeded by `generator` and then restored.
    """
    import torch
    from torchvision.transforms import v2

    from dpbench.models.image_range import to_uint8, to_unit

    bilinear = v2.InterpolationMode.BILINEAR
    policies = [v2.RandAugment(2, magnitude, interpolation=bilinear) for magnitude in range(1, 10)]
    magnitudes = torch.randint(len(policies), (len(images),), generator=generator).tolist()
    seed = int(torch.randint(2**62, (1,), generator=generator))
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        changed = [policies[m](image) for m, image in zip(magnitudes, to_uint8(images), strict=True)]
    return to_unit(torch.stack(changed))


AUGMENTATIONS: Mapping[Augmentation, Callable[[Tensor, torch.Generator], Tensor]] = MappingProxyType(
    {"none": _keep, "flip": _flip, "strokes": _strokes, "colours": _colours, "rand-augment": _rand_augment}
)
"""Name -> function of float images [b, c, h, w] in [-1, 1] and a generator (CPU), which returns such images."""
