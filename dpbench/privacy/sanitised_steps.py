"""Steps of a generator along the noisy gradients of secret discriminators; see `SanitisedGradients`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import asdict
from functools import partial
from typing import Any, Protocol, final

import torch
from torch import Tensor, nn

from dpbench.core.errors import PrivacyError
from dpbench.core.progress import Progress
from dpbench.core.specs import Batch
from dpbench.privacy.checks.guard import guarded
from dpbench.privacy.checks.probes import DISTINCT, Probes
from dpbench.privacy.clipping import clipped_rows
from dpbench.privacy.ledger import Receipt
from dpbench.privacy.noise import Draws, global_randomness
from dpbench.privacy.parts import Parts
from dpbench.privacy.records import Records, Shard
from dpbench.privacy.sanitised import SanitisedGradients
from dpbench.privacy.world import World

DrawRecords = Callable[[int], Batch]
"""n -> n records of one shard, drawn with replacement."""

Generate = Callable[[], tuple[Tensor, Tensor]]
"""() -> a step's generated images [samples, c, h, w] with their graph, and int64 labels [samples]; both are public."""


class Discriminators(Protocol):
    """How a method trains the discriminators that stay inside the vault."""

    def new(self) -> nn.Module:
        """An untrained one on the vault's device: (images [b, c, h, w], labels [b]) -> scores [b], high for real."""
        ...

    def warm_up(self, discriminator: nn.Module, records: DrawRecords, draws: torch.Generator) -> None:
        """Trains it on its shard, once, before the first step.

        Args:
            discriminator: a new one.
            records: draws records of its shard.
            draws: randomness that belongs to this discriminator (CPU).
        """
        ...

    def train(self, discriminator: nn.Module, records: DrawRecords, draws: torch.Generator) -> None:
        """Trains a copy of it against the current generator, before the copy answers a step; arguments as `warm_up`."""
        ...


@final
class SanitisedSteps:
    """Every `next` is one step of the generator's optimiser along noisy gradients of one secret discriminator's scores.

    Nothing but these gradients leaves this object: discriminators, scores and the choice of the discriminator stay
    here, and are not stored in checkpoints. A run that continues trains the discriminators again, with the same
    randomness.

    A failure after records were read closes the vault.

    Args:
        parts: the vault's parts.
        mechanism: the planned mechanism, with its noise.
        discriminators: how discriminators are trained.
        generate: makes the images of a step.
        optimizer: the generator's optimiser.
        probes: synthetic records, on which training is checked before a record is read.
        progress: shows the training of the discriminators.

    Raises:
        PrivacyError: something other than its gradients leaves the training of a discriminator, or several processes
            share the records.
    """

    def __init__(
        self,
        parts: Parts,
        mechanism: SanitisedGradients,
        discriminators: Discriminators,
        generate: Generate,
        optimizer: torch.optim.Optimizer,
        probes: Probes,
        progress: Progress,
    ):
        if parts.world.size > 1:
            raise PrivacyError(f"'{mechanism.name}' keeps its discriminators in one process; run it without torchrun")
        if mechanism.shards > len(parts.records):
            raise PrivacyError(f"'{mechanism.name}' has more shards than the dataset has records; plan fewer")
        self._parts = parts
        self._mechanism = mechanism
        self._how = discriminators
        self._generate = generate
        self._optimizer = optimizer
        self._noted = False
        self.key = asdict(mechanism)
        self._check(probes)
        self._shards = [Shard(parts.records, World(k, mechanism.shards)) for k in range(mechanism.shards)]
        self._trained = parts.door.behind(f"'{mechanism.name}'", lambda: self._warmed_up(progress))

    def __len__(self) -> int:
        return self._mechanism.steps

    def __iter__(self) -> Iterator[Receipt]:
        return self

    def __next__(self) -> Receipt:
        parts, mechanism = self._parts, self._mechanism
        done = parts.ledger.spent[mechanism.name]
        if done == mechanism.releases:
            raise StopIteration
        parts.door.require_open()
        parts.ledger.require(mechanism.name, SanitisedGradients)
        self._optimizer.zero_grad(set_to_none=True)
        images, labels = self._generate()
        if len(images) != mechanism.samples or len(labels) != mechanism.samples:
            raise PrivacyError(
                f"'{mechanism.name}' is planned for {mechanism.samples} images per step: generate as many"
            )
        step = f"step {done + 1} of '{mechanism.name}'"
        if not self._noted:  # later images follow from these and from releases
            parts.noise.key.starts_from(step, images)
            self._noted = True
        draws = parts.noise.of(mechanism.name, done + 1)
        gradients, receipt = parts.door.behind(step, lambda: self._released(images.detach(), labels, draws))
        images.backward(-gradients / mechanism.samples)
        self._optimizer.step()
        return receipt

    def _released(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Receipt]:
        """The noisy clipped gradients at the images [samples, c, h, w], from a discriminator drawn in secret."""
        chosen, seed = draws.below(self._mechanism.shards), draws.seed()
        discriminator = deepcopy(self._trained[chosen])
        with global_randomness(seed, self._parts.device):
            randomness = torch.Generator().manual_seed(seed)
            shard = partial(_drawn, self._shards[chosen], randomness, self._parts.device)
            self._how.train(discriminator, shard, randomness)
        gradients = clipped_rows(_at(discriminator, images, labels), self._mechanism.clip)
        [noisy], receipt = self._parts.release([gradients], self._mechanism, draws)
        return noisy, receipt

    def _warmed_up(self, progress: Progress) -> list[nn.Module]:
        """The trained discriminator of each shard, the same in every attempt."""
        device, trained = self._parts.device, []
        with progress.phase("train the discriminators (private)", len(self._shards)) as advance:
            for number, shard in enumerate(self._shards):
                seed = self._parts.noise.of(f"discriminators of '{self._mechanism.name}'", number).seed()
                with global_randomness(seed, device):
                    discriminator, draws = self._how.new(), torch.Generator().manual_seed(seed)
                    self._how.warm_up(discriminator, partial(_drawn, shard, draws, device), draws)
                trained.append(discriminator)
                advance(1)
        return trained

    def _check(self, probes: Probes) -> None:
        """Trains one discriminator on synthetic records under guard: only its gradients may leave the training."""
        images, labels = self._generate()
        device = self._parts.device

        def answer(records: Batch) -> Tensor:
            with global_randomness(0, device):
                discriminator, draws = self._how.new(), torch.Generator().manual_seed(0)
                for train in (self._how.warm_up, self._how.train):
                    train(discriminator, partial(_selected, records, draws), draws)
                return _at(discriminator, images.detach(), labels)

        values = guarded(answer, probes.take(DISTINCT)[0], f"the training of '{self._mechanism.name}'")
        if values.shape != images.shape:
            raise PrivacyError(f"'{self._mechanism.name}' gives gradients of another shape than the images")

    def state_dict(self) -> dict[str, Any]:
        """The number of receipts so far."""
        return {"releases": self._parts.ledger.spent[self._mechanism.name]}

    def load_state_dict(self, state: Mapping[str, Any]) -> int:
        """Continues after the stored steps; returns their number. See `DPSGDStepper.load_state_dict`."""
        self._parts.ledger.restore(self._mechanism, state["releases"])
        return int(state["releases"])


def _at(discriminator: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """The gradients of the scores at the images."""
    images = images.requires_grad_()
    with torch.enable_grad():
        (gradients,) = torch.autograd.grad(discriminator(images, labels).sum(), images)
    return gradients


def _drawn(records: Records, draws: torch.Generator, device: str, size: int) -> Batch:
    return records.batch(torch.randint(len(records), (size,), generator=draws).tolist()).to(device)


def _selected(records: Batch, draws: torch.Generator, size: int) -> Batch:
    return records.select(torch.randint(len(records), (size,), generator=draws))
