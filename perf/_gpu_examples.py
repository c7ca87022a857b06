"""Models for comparing the engines: layers of every known type, the wavelet transformer and the diffusion U-Net.

Losses draw random numbers from a CPU generator, so that fp32, bf16 and fp64 use the same draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dpbench.core.specs import Batch
from dpbench.models.edm import Denoiser, NoiseConfig
from dpbench.models.transformer import TokenTransformer, TransformerConfig
from dpbench.models.unet import UNet, UNetConfig
from dpbench.privacy.gradients.engine import Loss

RECORDS = 2


@dataclass(frozen=True, eq=False)
class Example:
    """A model, records and a loss.

    Attributes:
        build: constructs the model on the CPU.
        records: `RECORDS` records on the CPU.
        loss: see `dpbench.privacy.gradients.engine.Loss`.
        opacus: whether Opacus supports the model; otherwise it crashes or gives wrong results.
    """

    build: Callable[[], nn.Module]
    records: Batch
    loss: Loss
    opacus: bool = True


def scattered(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """A loss with a different gradient for every output, view and record."""
    output = model(batch.derived)
    return ((output - _drawn(output, generator)) ** 2).flatten(1).mean(1)


def _drawn(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator).to(like.device)


def next_token(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    assert isinstance(model, TokenTransformer)
    return model.loss(batch.derived, batch.labels) * (
        1 + torch.rand(len(batch), generator=generator).to(batch.labels.device)
    )


def denoise(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    assert isinstance(model, Denoiser)
    return model.loss(batch.derived, batch.labels, generator, NoiseConfig(), label_dropout=0.1)


class Tied(nn.Module):
    """A model with tied embedding and head weights and a layer that is used twice."""

    def __init__(self, entries: int, width: int) -> None:
        super().__init__()
        self.token, self.mlp, self.head = (
            nn.Embedding(entries, width),
            nn.Linear(width, width),
            nn.Linear(width, entries),
        )
        self.head.weight = self.token.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.token(tokens)
        for _ in range(2):
            x = x + F.gelu(self.mlp(x))
        return self.head(x)


def numbers(*shape: int) -> Batch:
    return Batch(derived=torch.randn(RECORDS, *shape, generator=torch.Generator().manual_seed(1)))


def indices(*shape: int, of: int) -> Batch:
    return Batch(derived=torch.randint(of, (RECORDS, *shape), generator=torch.Generator().manual_seed(1)))


def layer(build: Callable[[], nn.Module], records: Batch, opacus: bool = True) -> Example:
    """A layer with random weights, because the default ones and zeros of norms could hide errors."""

    def scrambled() -> nn.Module:
        model = build()
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.5)
        return model

    return Example(scrambled, records, scattered, opacus)


LAYERS: Mapping[str, Example] = {
    "linear": layer(lambda: nn.Linear(256, 128), numbers(256)),
    "linear, many positions": layer(lambda: nn.Linear(48, 40), numbers(64, 48)),
    "linear, few positions": layer(lambda: nn.Linear(256, 192), numbers(4, 256)),
    "embedding": layer(lambda: nn.Embedding(50, 64), indices(32, of=50)),
    "conv1d": layer(lambda: nn.Conv1d(16, 24, 3, padding=1), numbers(16, 48)),
    "conv1d, few places": layer(lambda: nn.Conv1d(32, 64, 5, stride=4, dilation=2), numbers(32, 17)),
    "conv2d": layer(lambda: nn.Conv2d(8, 16, 3, padding=1), numbers(8, 12, 12)),
    "conv2d, few places": layer(lambda: nn.Conv2d(64, 64, 3, stride=2, padding=1), numbers(64, 4, 4)),
    "conv2d, groups": layer(lambda: nn.Conv2d(16, 24, 3, groups=4, padding=1), numbers(16, 8, 8)),
    "conv2d, depthwise": layer(lambda: nn.Conv2d(8, 16, 3, groups=8, bias=False), numbers(8, 8, 8)),
    "conv2d, reflect": layer(lambda: nn.Conv2d(8, 12, 3, padding=1, padding_mode="reflect"), numbers(8, 8, 8), False),
    "layer norm": layer(lambda: nn.LayerNorm(64), numbers(8, 64)),
    "rms norm": layer(lambda: nn.RMSNorm(64), numbers(8, 64)),
    "group norm": layer(lambda: nn.GroupNorm(4, 32), numbers(32, 6, 6)),
    "tied and used twice": layer(lambda: Tied(40, 32), indices(12, of=40)),
}


def networks(tiny: bool) -> Mapping[str, Example]:
    """The networks trained by the methods, smaller in the tiny form."""
    width, depth, length = (32, 1, 8) if tiny else (128, 4, 64)
    channels, size = ((8, 16), 8) if tiny else ((32, 64), 32)
    labels = torch.arange(RECORDS) % 3
    return {
        "wavelet transformer": Example(
            lambda: TokenTransformer(TransformerConfig(64, length, 3, dim=width, depth=depth)),
            Batch(condition=labels, derived=indices(length, of=64).derived),
            next_token,
        ),
        "diffusion U-Net": Example(
            lambda: Denoiser(UNet((3, size, size), 4, UNetConfig(channels)), (3, size, size), 3),
            Batch(condition=labels, derived=numbers(3, size, size).derived),
            denoise,
        ),
    }
