"""A ladder of distortions of images, and the order in which a person puts them.

The order is partial: stronger distortions of one kind are worse, what hardly anyone notices is better than what nobody
overlooks, and one image repeated is worst of all.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import conv2d, pad


def rounded(x: Tensor) -> Tensor:
    return x.round().clamp(0, 255).to(torch.uint8)


def smoothed(x: Tensor, pixels: float) -> Tensor:
    """A Gaussian blur of this standard deviation: [n, c, h, w] -> float32."""
    reach = max(2, round(4 * pixels))
    kernel = torch.exp(-(torch.arange(-reach, reach + 1).float() ** 2) / (2 * pixels**2))
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, 1, -1)
    rows = conv2d(pad(x.float(), (reach,) * 4, mode="reflect"), kernel, groups=x.shape[1])
    return conv2d(rows, kernel.mT, groups=x.shape[1])


def blur(x: Tensor, pixels: float) -> Tensor:
    return rounded(smoothed(x, pixels))


def sharpen(x: Tensor, amount: float) -> Tensor:
    return rounded(x + amount * (x - smoothed(x, 1)))


def add_noise(x: Tensor, deviation: float) -> Tensor:
    """Independent of each channel, in grey levels."""
    return rounded(x + deviation * torch.randn(x.shape, generator=torch.Generator().manual_seed(0)))


def jpeg(x: Tensor, quality: int) -> Tensor:
    return torch.stack([_jpeg(image, quality) for image in x])


def _jpeg(image: Tensor, quality: int) -> Tensor:
    file = io.BytesIO()
    grey = len(image) == 1
    Image.fromarray(image[0].numpy() if grey else image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=quality)
    pixels = torch.from_numpy(np.asarray(Image.open(file)).copy())
    return pixels[None] if grey else pixels.permute(2, 0, 1)


def shuffle(x: Tensor, size: int) -> Tensor:
    """Square patches of `size` pixels in a random order."""
    n, c, h, _ = x.shape
    rows = h // size
    patches = x.reshape(n, c, rows, size, rows, size).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    order = torch.rand(n, rows * rows, generator=torch.Generator().manual_seed(0)).argsort(1)
    patches = patches[torch.arange(n)[:, None], order].unflatten(1, (rows, rows))
    return patches.permute(0, 3, 1, 4, 2, 5).reshape(x.shape)


def scramble(x: Tensor) -> Tensor:
    """Random phases at all frequencies, the same ones in all channels; the power spectrum stays."""
    n, _, h, w = x.shape
    phase = torch.fft.fft2(torch.randn(n, 1, h, w, generator=torch.Generator().manual_seed(0))).sgn()
    phase[..., 0, 0] = 1
    return rounded(torch.fft.ifft2(torch.fft.fft2(x.float()) * phase).real)


def tint(x: Tensor, levels: int) -> Tensor:
    """More red and less blue; brighter, if images are grey."""
    return rounded(x + torch.tensor([levels, 0, -levels] if x.shape[1] == 3 else [levels])[:, None, None])


def collapse(x: Tensor, images: int) -> Tensor:
    """So many different images, each repeated."""
    return x[torch.arange(len(x)) % images]


FAMILIES: dict[str, tuple[Callable[[Tensor, Any], Tensor], tuple[float, ...]]] = {
    "blur": (blur, (0.5, 1, 2)),
    "sharpen": (sharpen, (0.5, 1, 3)),
    "noise": (add_noise, (2, 5, 10, 25)),
    "jpeg": (jpeg, (90, 50, 20, 10)),
    "shuffle": (shuffle, (16, 8, 4)),
    "tint": (tint, (5, 15, 40)),
    "collapse": (collapse, (100, 10, 1)),
}
"""Kind -> (distortion, strengths from weak to strong)."""

HARDLY_NOTICED = ("noise 2", "noise 5", "jpeg 90", "tint 5")
NEVER_OVERLOOKED = ("blur 2", "noise 25", "jpeg 10", "shuffle 8", "shuffle 4", "scramble", "collapse 1")


def ladder(x: Tensor) -> Iterator[tuple[str, Tensor]]:
    """uint8 [n, c, h, w] -> the names of all distortions, and the distorted images."""
    for kind, (distort, strengths) in FAMILIES.items():
        yield from ((f"{kind} {strength}", distort(x, strength)) for strength in strengths)
    yield "scramble", scramble(x)
