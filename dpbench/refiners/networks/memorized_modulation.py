"""A restorer modulated by a memory of public detail (RMM, arXiv 2110.01033)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dpbench.core.context import RunContext
from dpbench.models.haar import wavelet_packets
from dpbench.refiners.networks.sub_pixel import pixel_shuffles
from dpbench.refiners.networks.training import RefinerNetwork

SIDE = 5
"""Side of the coarse patches by which detail is looked up."""

FEATURES = 32
"""Length of the learned feature of a coarse patch."""

CHUNK = 1024
"""Patches that are compared with the whole memory at a time."""


class MemorizedModulation(RefinerNetwork):
    """Looks up the detail code of the most similar public patch for each coarse pixel; the codes modulate a restorer.

    A detail code holds the Haar coefficients of the block of scale x scale pixels below a coarse pixel, without its
    mean. The similarity is the cosine of features. The features learn to predict the mean detail code, so that patches
    with the same detail are similar. The memory is filled with degraded public patches before training.

    Args:
        channels: image channels.
        width: channels of the restorer, a multiple of `scale`.
        depth: number of modulated blocks.
        scale: see `RefinerNetwork`; a power of two.
        entries: size of the memory.

    Raises:
        ConfigError: see `pixel_shuffles`.

    Attributes:
        patches: the memory's coarse patches, [entries, channels · SIDE²].
        codes: the memory's detail codes, [entries, channels · (scale² - 1)].
    """

    patches: Tensor
    codes: Tensor

    def __init__(self, channels: int, width: int, depth: int, scale: int, entries: int):
        super().__init__(channels, scale)
        self.levels = int(math.log2(scale))
        area, code = channels * SIDE**2, channels * (scale**2 - 1)
        self.encoder = nn.Sequential(nn.Linear(area, 2 * FEATURES), nn.GELU(), nn.Linear(2 * FEATURES, FEATURES))
        self.predictor = nn.Linear(FEATURES, code)
        self.stem = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(ModulatedBlock(width, code) for _ in range(depth))
        self.up = pixel_shuffles(width, self.levels, channels)
        self.register_buffer("patches", torch.zeros(entries, area))
        self.register_buffer("codes", torch.zeros(entries, code))

    def forward(self, coarse: Tensor, codes: Tensor) -> Tensor:
        """Coarse images [b, c, h, w] and detail codes [b, c · (scale² - 1), h, w] -> [b, c, scale · h, scale · w]."""
        x = self.stem(coarse)
        for block in self.blocks:
            x = block(x, codes)
        return F.interpolate(coarse, scale_factor=self.scale, mode="bicubic", align_corners=False) + self.up(x)

    def measure(self, images: Tensor, coarse: Tensor) -> None:
        """Fills the memory with patches at evenly spaced positions; see `RefinerNetwork.measure`."""
        patches, codes = rows(coarse_patches(coarse)), rows(self.detail_codes(images))
        chosen = torch.linspace(0, len(codes) - 1, len(self.codes)).long().to(codes.device)
        self.patches.copy_(patches[chosen])
        self.codes.copy_(codes[chosen])

    def loss(self, images: Tensor, coarse: Tensor, generator: torch.Generator) -> Tensor:
        """The image's mean absolute error and the predicted detail code's squared error; see `RefinerNetwork.loss`."""
        features = self.features(rows(coarse_patches(coarse)))
        codes = self.recalled(features.detach(), coarse.shape[-2:])
        predicted = self.predictor(features)
        return F.l1_loss(self(coarse, codes), images) + F.mse_loss(predicted, rows(self.detail_codes(images)))

    @torch.inference_mode()
    def refine(self, coarse: Tensor, run: RunContext) -> Tensor:
        """See `RefinerNetwork.refine`; deterministic."""
        features = self.features(rows(coarse_patches(coarse)))
        return self(coarse, self.recalled(features, coarse.shape[-2:]))

    def features(self, patches: Tensor) -> Tensor:
        """Unit vectors: [n, c · SIDE²] -> [n, FEATURES]."""
        return F.normalize(self.encoder(patches), dim=1)

    @torch.no_grad()
    def recalled(self, features: Tensor, size: torch.Size) -> Tensor:
        """The detail codes of the most similar patches: [b · h · w, FEATURES] -> [b, c · (scale² - 1), h, w]."""
        nearest = nearest_entries(features, self.features(self.patches))
        return self.codes[nearest].unflatten(0, (-1, *size)).permute(0, 3, 1, 2)

    def detail_codes(self, images: Tensor) -> Tensor:
        """[b, c, scale · h, scale · w] -> [b, c · (scale² - 1), h, w]."""
        return wavelet_packets(images, self.levels)[:, 1:].flatten(1, 2)


class ModulatedBlock(nn.Module):
    """A residual block of attentional denormalisation, GELU and convolution, twice."""

    def __init__(self, width: int, code: int):
        super().__init__()
        self.modulations = nn.ModuleList(AttentionalDenormalization(width, code) for _ in range(2))
        self.convolutions = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor, codes: Tensor) -> Tensor:
        """[b, width, h, w] and [b, code, h, w] -> [b, width, h, w]."""
        y = x
        for modulate, convolve in zip(self.modulations, self.convolutions, strict=True):
            y = convolve(F.gelu(modulate(y, codes)))
        return x + y


class AttentionalDenormalization(nn.Module):
    """(1 + γ) · (a₁ layer norm(x) + a₂ instance norm(x) + a₃ x) + β, with γ and β from the detail codes.

    The weights a of each pixel are learned attention: a softmax of a convolution of x.
    """

    def __init__(self, width: int, code: int):
        super().__init__()
        self.attention = nn.Conv2d(width, 3, 1)
        self.modulation = nn.Conv2d(code, 2 * width, 3, padding=1)

    def forward(self, x: Tensor, codes: Tensor) -> Tensor:
        """[b, width, h, w] and [b, code, h, w] -> [b, width, h, w]."""
        layer, instance, raw = self.attention(x).softmax(1).split(1, dim=1)
        mixed = layer * standardized(x, (1,)) + instance * standardized(x, (2, 3)) + raw * x
        gamma, beta = self.modulation(codes).chunk(2, dim=1)
        return (1 + gamma) * mixed + beta


def standardized(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """x with mean 0 and variance 1 along `dims`: layer norm over channels, instance norm over positions."""
    variance, mean = torch.var_mean(x, dims, correction=0, keepdim=True)
    return (x - mean) * (variance + 1e-5).rsqrt()


def nearest_entries(queries: Tensor, keys: Tensor) -> Tensor:
    """For each query the index of the key with the largest inner product: [n, d], [entries, d] -> int64 [n]."""
    return torch.cat([(part @ keys.T).argmax(1) for part in queries.split(CHUNK)])


def coarse_patches(coarse: Tensor) -> Tensor:
    """The SIDE x SIDE patch around each pixel, borders replicated: [b, c, h, w] -> [b, c · SIDE², h, w]."""
    padded = F.pad(coarse, (SIDE // 2,) * 4, mode="replicate")
    return F.unfold(padded, SIDE).unflatten(-1, coarse.shape[-2:])


def rows(maps: Tensor) -> Tensor:
    """One row per pixel: [b, d, h, w] -> [b · h · w, d]."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2)
