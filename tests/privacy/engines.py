"""Networks, losses and calls for tests of the gradient engines."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dpbench.core.specs import Batch
from dpbench.privacy.gradients.bookkeeping import BookKeepingEngine
from dpbench.privacy.gradients.engine import GradientEngine, Loss
from dpbench.privacy.gradients.opacus_engine import OpacusEngine
from dpbench.privacy.gradients.vmap import VmapEngine

RECORDS = 5
BATCHED = [OpacusEngine, BookKeepingEngine]  # give the loss the whole batch, not one record at a time
ENGINES = [*BATCHED, VmapEngine]
NAMES = {"opacus": OpacusEngine, "book-keeping": BookKeepingEngine, "vmap": VmapEngine}


class ConvNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4)
        self.conv2, self.head = nn.Conv2d(4, 3, 3, stride=2, bias=False), nn.Linear(27, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.norm(self.conv1(x)))
        return self.head(self.conv2(x).flatten(1))


class Transformer(nn.Module):
    """One block; every layer sees the batch in its first dimension, and the MLP is used twice."""

    def __init__(self, length: int = 6, dim: int = 8):
        super().__init__()
        self.token, self.place = nn.Embedding(7, dim), nn.Embedding(length, dim)
        self.norm1, self.qkv, self.out = nn.LayerNorm(dim), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim, bias=False)
        self.norm2, self.mlp = nn.LayerNorm(dim), nn.Linear(dim, dim)
        self.head = nn.Linear(dim, 7)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.token(tokens) + self.place(torch.arange(tokens.shape[1]).expand_as(tokens))
        q, k, v = self.qkv(self.norm1(x)).chunk(3, dim=-1)
        later = torch.ones(x.shape[1], x.shape[1]).triu(1).bool()
        x = x + self.out((q @ k.mT).masked_fill(later, -1e9).softmax(-1) @ v)
        for _ in range(2):
            x = x + F.gelu(self.mlp(self.norm2(x)))
        return self.head(x)


class Scaled(nn.Module):
    """A parameter that belongs to no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.scale = nn.Linear(4, 3), nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.inner(x)


def image_batch(n: int = RECORDS, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 1, 8, 8), generator=generator, dtype=torch.uint8)
    return Batch(images, torch.randint(0, 4, (n,), generator=generator))


def token_batch(n: int = RECORDS, seed: int = 0) -> Batch:
    return Batch(derived=torch.randint(0, 7, (n, 6), generator=torch.Generator().manual_seed(seed)))


def denoise(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Classification of images with noise from the loss's generator: every view differs."""
    x = batch.images / 255
    return F.cross_entropy(model(x + 0.3 * torch.randn(x.shape, generator=generator)), batch.labels, reduction="none")


def next_token(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Next-token loss with weights from the loss's generator: every view differs."""
    tokens = batch.derived
    losses = F.cross_entropy(model(tokens[:, :-1]).transpose(1, 2), tokens[:, 1:], reduction="none")
    return (losses * torch.rand(losses.shape, generator=generator)).mean(1)


def scattered(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """A loss whose gradient is different at every output, view and record."""
    output = model(batch.derived)
    wanted = torch.randn(output.shape, generator=generator)
    return ((output - wanted) ** 2).flatten(1).mean(1)


def rows_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    return (model(batch.derived) ** 2).flatten(1).mean(1)


def scaled_at(loss: Loss, factors: dict[int, float]) -> Loss:
    """The loss with some rows multiplied by a factor."""

    def scaled(model, batch, generator):
        losses = loss(model, batch, generator)
        factor = torch.ones(len(losses))
        for row, value in factors.items():
            factor[row] = value
        return losses * factor

    return scaled


def repeat(batch: Batch, views: int) -> Batch:
    return batch.map(lambda t: t.repeat_interleave(views, dim=0))


def everyone(n: int = RECORDS) -> Tensor:
    return torch.ones(n, dtype=torch.bool)


def flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([t.detach().flatten() for t in tensors])


def clipped_sum(
    engine: GradientEngine, batch: Batch, real: Tensor | None = None, views: int = 1, clip: float = math.inf
) -> Tensor:
    """The engine's sum as one vector, with the loss's generator in the same state every time."""
    real = everyone(len(batch)) if real is None else real
    sums = engine.clipped_sum(repeat(batch, views), real, views, clip, torch.Generator().manual_seed(3))
    assert all(s.dtype == torch.float32 for s in sums)
    assert [s.shape for s in sums] == [p.shape for p in engine.parameters]
    return flat(sums)


def each_record(engine: GradientEngine, batch: Batch, views: int = 1, clip: float = math.inf) -> Tensor:
    """The records' own gradients, one at a time: [records, parameters]."""
    return torch.stack([clipped_sum(engine, batch, one, views, clip) for one in torch.eye(len(batch)).bool()])


def expected_gradients(model: nn.Module, batch: Batch, views: int, of_rows: Callable[..., Tensor]) -> Tensor:
    """The same by torch.func: vmap over records of the gradient of the mean loss over the record's views."""
    parameters = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    loss, *rows = of_rows(repeat(batch, views), torch.Generator().manual_seed(3))
    tensors = [t.reshape(len(batch), views, *t.shape[1:]) for t in rows]

    def of_record(parameters: dict[str, Tensor], *record: Tensor) -> Tensor:
        return loss(lambda x: torch.func.functional_call(model, parameters, (x,)), *record).mean()

    gradients = torch.func.vmap(torch.func.grad(of_record), (None, *[0] * len(tensors)))(parameters, *tensors)
    return torch.cat([g.flatten(1) for g in gradients.values()], dim=1)


def denoise_rows(batch: Batch, generator: torch.Generator):
    x = batch.images / 255
    x = x + 0.3 * torch.randn(x.shape, generator=generator)
    return lambda model, x, y: F.cross_entropy(model(x), y, reduction="none"), x, batch.labels


def next_token_rows(batch: Batch, generator: torch.Generator):
    tokens = batch.derived
    weights = torch.rand(len(tokens), tokens.shape[1] - 1, generator=generator)

    def loss(model, tokens: Tensor, weights: Tensor) -> Tensor:
        losses = F.cross_entropy(model(tokens[:, :-1]).transpose(1, 2), tokens[:, 1:], reduction="none")
        return (losses * weights).mean(1)

    return loss, tokens, weights
