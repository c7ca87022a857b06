"""A class-conditional residual generator (BigGAN, Brock et al., arXiv 1809.11096): latent code and label -> image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from dpbench.models.gan_config import GANConfig


class ResNetGenerator(nn.Module):
    """Residual up-sampling blocks with class-conditional batch normalisation.

    Every block gets its own chunk of the latent code, besides the label. Batch normalisation is safe here: the
    generator is never evaluated on private records.

    Args:
        shape: (channels, height, width) of an image.
        labels: number of labels; 1 without classes.
        config: sizes of the network.

    Raises:
        ConfigError: the sizes do not fit the resolution.
    """

    def __init__(self, shape: tuple[int, int, int], labels: int, config: GANConfig):
        super().__init__()
        config.check_divides(shape[1])
        channels, blocks = config.generator_channels, len(config.generator_channels)
        self.side = shape[1] // (config.patch * 2**blocks)
        self.chunks = [config.code // (blocks + 1) + (k < config.code % (blocks + 1)) for k in range(blocks + 1)]
        self.embedding = nn.Embedding(labels, config.embedding)
        self.start = nn.Linear(self.chunks[0], channels[0] * self.side**2)
        self.blocks = nn.ModuleList(
            UpBlock(before, after, config.embedding + chunk)
            for before, after, chunk in zip((channels[0], *channels), channels, self.chunks[1:], strict=False)
        )
        self.attention = SelfAttention(channels[1]) if config.attention else None
        self.norm = nn.BatchNorm2d(channels[-1])
        self.end = nn.Conv2d(channels[-1], shape[0] * config.patch**2, 3, padding=1)
        self.to_pixels = nn.PixelShuffle(config.patch)
        initialise(self)
        if config.spectral_norm:
            for layer in [m for m in self.modules() if isinstance(m, nn.Linear | nn.Conv2d)]:
                spectral_norm(layer)

    def forward(self, code: Tensor, labels: Tensor) -> Tensor:
        """float [b, code], int64 [b] -> fp32 images [b, c, h, w] in [-1, 1]."""
        first, *chunks = code.split(self.chunks, dim=1)
        label = self.embedding(labels)
        x = self.start(first).unflatten(1, (-1, self.side, self.side))
        for number, (block, chunk) in enumerate(zip(self.blocks, chunks, strict=True), start=1):
            x = block(x, torch.cat([label, chunk], dim=1))
            if number == 2 and self.attention is not None:
                x = self.attention(x)
        return torch.tanh(self.to_pixels(self.end(F.relu(self.norm(x)))).float())


class UpBlock(nn.Module):
    """Two convolutions after conditional normalisation, the first at twice the spatial size; a residual connection."""

    def __init__(self, before: int, after: int, condition: int):
        super().__init__()
        self.first_norm, self.second_norm = ConditionalNorm(before, condition), ConditionalNorm(after, condition)
        self.first, self.second = nn.Conv2d(before, after, 3, padding=1), nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """[b, before, s, s], [b, condition] -> [b, after, 2s, 2s]."""
        y = self.first(_double(F.relu(self.first_norm(x, condition))))
        y = self.second(F.relu(self.second_norm(y, condition)))
        return y + _double(self.shortcut(x))  # a 1×1 convolution before up-sampling costs a quarter


class ConditionalNorm(nn.Module):
    """Batch normalisation whose gain and bias are linear in the condition."""

    def __init__(self, channels: int, condition: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Linear(condition, channels, bias=False)
        self.bias = nn.Linear(condition, channels, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """[b, channels, s, s], [b, condition] -> [b, channels, s, s]."""
        gain, bias = 1 + self.gain(condition), self.bias(condition)
        return self.norm(x) * gain[:, :, None, None] + bias[:, :, None, None]


class SelfAttention(nn.Module):
    """Attention between positions (SAGAN, Zhang et al., arXiv 1805.08318); starts as the identity."""

    def __init__(self, channels: int):
        super().__init__()
        self.query, self.key = (nn.Conv2d(channels, max(1, channels // 8), 1, bias=False) for _ in range(2))
        self.value = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.end = nn.Conv2d(channels // 2, channels, 1, bias=False)
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """[b, channels, s, s] -> [b, channels, s, s]."""
        key, value = F.max_pool2d(self.key(x), 2), F.max_pool2d(self.value(x), 2)
        query, key, value = (t.flatten(2).mT for t in (self.query(x), key, value))
        found = F.scaled_dot_product_attention(query, key, value, scale=1.0).mT
        return x + self.weight * self.end(found.unflatten(2, x.shape[2:]))


def initialise(network: nn.Module) -> None:
    """Sets orthogonal weights and zero biases."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding):
            nn.init.orthogonal_(layer.weight)
            if isinstance(bias := getattr(layer, "bias", None), nn.Parameter):
                nn.init.zeros_(bias)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2)
