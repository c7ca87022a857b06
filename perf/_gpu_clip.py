"""Adversarial records for the clip: large gradients with nearly cancelling terms, in wide layers.

A record's contribution is the clipped sum of this record only; its norm is computed in fp64. TF32 is allowed globally,
as a user's program may do; the engines must still compute norms and sums in fp32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from dpbench.core.specs import Batch
from dpbench.privacy.clipping import clipped_sum
from dpbench.privacy.gradients.engine import Loss
from dpbench.privacy.gradients.engines import ENGINES
from perf._gpu_checks import Check, Setting, Value, at_most
from perf._gpu_gradients import each
from perf._gpu_precision import tf32
from perf._models import in_bf16

BOUND = 1 + 1e-5

LEVELS = (0.02, 0.44, 0.5644444, 0.86)
"""Values of the constant records. Products of equal numbers have equal rounding errors, which add up."""

CHANGES = {"fp32": 1e-3, "bf16": 2e-2}
"""Relative difference between views, layer uses and positions; large enough for the precision of the loss."""


@dataclass(frozen=True)
class Attack:
    """Gradients c_j w ⊗ x_j with alternating signs and a sum much smaller than the terms.

    Attributes:
        build: constructs the layer.
        shape: shape of a record's input.
        views: rows per record.
        uses: number of uses of the layer in the model.
        scale: factor of the loss.
        entries: number of entries of an embedding; 0 for other layers.
        clip: clipping norm C.
        change: see `CHANGES`.
    """

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    views: int = 1
    uses: int = 1
    scale: float = 1e6
    entries: int = 0
    clip: float = 1.0
    change: float = 1e-3

    def records(self) -> Batch:
        """The constant records, on the CPU; for an embedding, each record looks up the same entry everywhere."""
        levels = torch.arange(len(LEVELS)) if self.entries else torch.tensor(LEVELS)
        return Batch(derived=levels.reshape(-1, *[1] * len(self.shape)).repeat(1, *self.shape))


class Repeated(nn.Module):
    """Sum over uses u of ± layer(x (1 + small change))."""

    def __init__(self, layer: nn.Module, factors: list[float]):
        super().__init__()
        self.layer = layer
        self.factors = factors

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([f * self.layer(x * abs(f) if x.is_floating_point() else x) for f in self.factors]).sum(0)


def alternating(count: int, change: float) -> list[float]:
    """Factors with alternating signs, 1, -1.0007, 1.0003, ..., with sizes that differ by up to `change`."""
    return [(-1) ** j * (1 + change * (7 * j % 11) / 10) for j in range(count)]


def difference(attack: Attack) -> Loss:
    """The loss: `scale` times the sum of the outputs, with alternating signs over views and positions."""

    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        x = batch.derived
        signs = torch.tensor(alternating(attack.views, attack.change), device=x.device).repeat(len(x) // attack.views)
        output = model(x * signs.abs().reshape(-1, *[1] * (x.ndim - 1)) if x.is_floating_point() else x)
        channels_first = isinstance(model.layer, nn.Conv1d | nn.Conv2d | nn.GroupNorm)
        by_place = output.flatten(2).sum(1) if channels_first else output.reshape(len(x), -1, output.shape[-1]).sum(2)
        over_places = torch.tensor(alternating(by_place.shape[1], attack.change), device=x.device)
        return attack.scale * signs * (by_place * over_places).sum(1)

    return loss


ATTACKS: Mapping[str, Attack] = {
    "linear 3072→512, 2 views": Attack(lambda: nn.Linear(3072, 512), (3072,), views=2),
    "linear 8→8, 32 views": Attack(lambda: nn.Linear(8, 8), (8,), views=32),
    "linear 512→256, 8 places": Attack(lambda: nn.Linear(512, 256), (8, 512)),
    "critic 12288→128, 2 uses, clip 1e-3": Attack(lambda: nn.Linear(12288, 128), (12288,), uses=2, scale=1, clip=1e-3),
    "conv2d 512→256, 3×3, 2 views": Attack(lambda: nn.Conv2d(512, 256, 3), (512, 3, 3), views=2, scale=1e3),
    "conv1d 64→96, 5, 4 views": Attack(lambda: nn.Conv1d(64, 96, 5), (64, 7), views=4),
    "conv2d, groups, 8 views": Attack(lambda: nn.Conv2d(32, 64, 3, groups=4), (32, 5, 5), views=8),
    "embedding of 512, 64 positions": Attack(lambda: nn.Embedding(100, 512), (64,), entries=100),
    "layer norm of 4096, 8 views": Attack(lambda: nn.LayerNorm(4096), (4, 4096), views=8),
    "rms norm of 4096, 8 uses": Attack(lambda: nn.RMSNorm(4096), (4, 4096), uses=8),
    "group norm of 256, 8 views": Attack(lambda: nn.GroupNorm(8, 256), (256, 4, 4), views=8),
}

LARGE: Mapping[str, Attack] = {
    "linear 3072→512, 2 views, × 1e3": Attack(lambda: nn.Linear(3072, 512), (3072,), views=2, scale=1e3),
    "linear 3072→512, 32 views": Attack(lambda: nn.Linear(3072, 512), (3072,), views=32),
    "linear 3072→512, 64 places": Attack(lambda: nn.Linear(3072, 512), (64, 3072)),
    "linear 16384→256, 8 uses": Attack(lambda: nn.Linear(16384, 256), (16384,), uses=8),
    "linear 65536→64, 2 views": Attack(lambda: nn.Linear(65536, 64), (65536,), views=2),
    "linear 65536→64, 64 uses": Attack(lambda: nn.Linear(65536, 64), (65536,), uses=64),
    "linear 64→65536, 8 views, 2 uses": Attack(lambda: nn.Linear(64, 65536), (64,), views=8, uses=2),
    "conv2d 512→256, 3×3, 32 views": Attack(lambda: nn.Conv2d(512, 256, 3), (512, 3, 3), views=32),
    "conv2d 512→256, 3×3, 4 places, 2 uses": Attack(lambda: nn.Conv2d(512, 256, 3), (512, 4, 4), uses=2),
    "embedding of 4096, 64 positions, 32 views": Attack(lambda: nn.Embedding(99, 4096), (64,), views=32, entries=99),
    "layer norm of 65536, 32 views": Attack(lambda: nn.LayerNorm(65536), (65536,), views=32),
    "group norm of 2048, 64 uses": Attack(lambda: nn.GroupNorm(32, 2048), (2048, 4, 4), uses=64),
}
"""Attacks for the full form only."""


def checks(setting: Setting) -> Iterator[Check]:
    """One check per attack, precision and engine, and the checks of `noisy_sum`'s clip."""
    for name, attack in {**ATTACKS, **({} if setting.tiny else LARGE)}.items():
        for precision in ("fp32", "bf16"):
            for engine in ENGINES:
                measure = partial(_contribution, setting, attack, engine, precision)
                yield Check(f"{name}, {precision}", (engine,), measure)
    for width in (8, 65536):
        for scale in (1e-20, 1e6, 1e20):
            row = f"noisy sum of {width}, × {scale:.0e}"
            yield Check(row, ("dense", "sparse"), partial(_of_noisy_sum, setting, width, scale))


def _contribution(setting: Setting, attack: Attack, engine: str, precision: str) -> Mapping[str, Value]:
    torch.manual_seed(0)
    attack = replace(attack, change=CHANGES[precision])
    model = Repeated(attack.build(), alternating(attack.uses, attack.change)).to(setting.device)
    batch = attack.records().map(lambda t: t.to(setting.device))
    loss = difference(attack)
    with tf32(allowed=True):
        computed = ENGINES[engine](model, in_bf16(loss) if precision == "bf16" else loss)
        norms = each(computed, batch, attack.views, attack.clip).norm(dim=1)
        computed.close()
    return {engine: at_most(float(norms.max()) / attack.clip, BOUND)}


def _of_noisy_sum(setting: Setting, width: int, scale: float) -> Mapping[str, Value]:
    values = scale * torch.tensor(LEVELS, device=setting.device)[:, None].repeat(1, width)
    clip = 0.1

    def largest(values: Tensor) -> Value:
        norms = [
            clipped_sum(values, one, clip).double().norm() for one in torch.eye(len(LEVELS)).bool().to(values.device)
        ]
        return at_most(float(torch.stack(norms).max()) / clip, BOUND)

    with tf32(allowed=True):
        return {"dense": largest(values), "sparse": largest(values.to_sparse())}
