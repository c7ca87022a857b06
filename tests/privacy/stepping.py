"""Small models, losses and single private steps, for tests of DP-SGD."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from vaults import Images, pixels, steps, vault

from dpbench.core.specs import Batch
from dpbench.privacy.vault import Vault

BATCHED = ("book-keeping", "opacus")  # engines that give the loss the whole batch; vmap gives it one record at a time
WIDE = 20_000  # outputs of a wide layer: 17 · 20,000 weights, each an observation of the noise


def flat(batch: Batch) -> Tensor:
    return batch.images.float().flatten(1) / 255


def squares(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    return (model(flat(batch)) ** 2).sum(1)


def nothing(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """A loss whose gradient is zero."""
    return 0 * model(flat(batch)).sum(1)


def linear(outputs: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(16, outputs)


def weights(model: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector([p.detach() for p in model.parameters()]).clone()


def start(private: Vault, model: nn.Module, loss=squares, optimizer=None, seed: int = 0, **settings):
    """A stepper that moves the weights by minus the noisy mean gradient."""
    optimizer = optimizer or torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    return private.dp_sgd("steps", model, loss, optimizer, torch.Generator().manual_seed(seed), **settings)


def move(images: Tensor, mechanism, loss=squares, model: nn.Module | None = None, **settings) -> Tensor:
    """The sum that one step is made of: minus how far the weights went, times the expected batch."""
    model = model or linear()
    before = weights(model)
    next(start(vault(Images(images), mechanism), model, loss, **settings))
    return (before - weights(model)) * mechanism.expected_batch


def autograd_sum(images: Tensor, clip: float) -> Tensor:
    """Σ clip(gradient), by one backward pass per record."""
    model, total = linear(), 0
    for image in images:
        loss = squares(model, Batch(image[None]), torch.Generator()).sum()
        gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])
        total = total + gradient * min(1.0, clip / gradient.norm())
    return total


def weighted(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    return squares(model, batch, generator) * torch.linspace(0, 1, len(batch))


class Changing:
    """A loss that is `squares` up to a step, and another one from there on."""

    def __init__(self, later) -> None:
        self.later, self.changed = later, False

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        return (self.later if self.changed else squares)(model, batch, generator)


def a_vault(n: int = 12, count: int = 20, records: type[Images] = Images, **settings) -> Vault:
    return vault(records(pixels(n)), steps(n, steps=count, **settings))


def run_to_the_end(stepper, after) -> None:
    """Takes all steps, and calls `after(number)` after each."""
    for receipt in stepper:
        after(receipt.number)
