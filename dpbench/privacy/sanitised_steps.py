"""Steps of a generator along the noisy gradients of secret discriminators; see `SanitisedGradients`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import Any, Protocol, final

import numpy as np
import torch
from torch import Tensor

from dpbench.core.errors import PrivacyError
from dpbench.core.progress import Progress
from dpbench.core.specs import Batch
from dpbench.privacy.checks.guard import guarded
from dpbench.privacy.checks.probes import DISTINCT, Probes
from dpbench.privacy.clipping import clipped_rows
from dpbench.privacy.ledger import Receipt
from dpbench.privacy.mechanisms.sanitised import SanitisedGradients
from dpbench.privacy.noise import Draws, global_randomness
from dpbench.privacy.parts import Parts
from dpbench.privacy.records import Records, Shard

DrawRecords = Callable[[int], Batch]
"""n -> n records of one shard, drawn with replacement."""

Generate = Callable[[], tuple[Tensor, Tensor]]
"""() -> a step's generated images [samples, c, h, w] with their graph, and int64 labels [samples]; both are public."""


class Discriminator(Protocol):
    """A discriminator that stays inside the vault, with its optimiser."""

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """Images [b, c, h, w] and int64 labels [b] -> scores [b], high for real images."""
        ...

    def warm_up(self, records: DrawRecords, draws: torch.Generator) -> None:
        """Trains it on its shard, once, before the first step.

        Args:
            records: draws records of its shard.
            draws: randomness that belongs to this discriminator (CPU).
        """
        ...

    def train(self, records: DrawRecords, images: Tensor, labels: Tensor, draws: torch.Generator) -> None:
        """Trains it on its shard against generated images.

        Args:
            records: draws records of its shard.
            images: the step's generated images [samples, c, h, w], without their graph.
            labels: their labels, int64 [samples].
            draws: randomness that belongs to this discriminator (CPU).
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """Its weights and the state of its optimiser."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores `state_dict()`."""
        ...


NewDiscriminator = Callable[[], Discriminator]
"""() -> an untrained discriminator on the vault's device."""


@final
class SanitisedSteps:
    """Every `next` is one step of the generator's optimiser along noisy gradients of one secret discriminator's scores.

    Nothing but these gradients leaves this object: discriminators, scores and the choice of the discriminator stay
    here, and in the checkpoints of an unfinished run.

    A failure after records were read closes the vault.

    Args:
        parts: the vault's parts.
        mechanism: the planned mechanism, with its noise.
        new: makes a discriminator.
        generate: makes the images of a step.
        optimizer: the generator's optimiser.
        probes: synthetic records, on which training is checked before a record is read.
        progress: shows the warm-up of the discriminators.

    Raises:
        PrivacyError: something other than its gradients leaves the training of a discriminator, or several processes
            share the records.
    """

    def __init__(
        self,
        parts: Parts,
        mechanism: SanitisedGradients,
        new: NewDiscriminator,
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
        self._new = new
        self._generate = generate
        self._optimizer = optimizer
        self._progress = progress
        self._noted = False
        self.key = asdict(mechanism)
        self._check(probes)
        self._shards = deal(parts.records, mechanism.shards)
        self._discriminators: list[Discriminator] = []

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
        if not self._discriminators:
            self._discriminators = self._warmed_up()
        mechanism = self._mechanism
        first = self._parts.ledger.spent[mechanism.name] * mechanism.trained
        for turn in range(first, first + mechanism.trained):
            number = turn % mechanism.shards
            with self._training(number, 1 + turn // mechanism.shards) as (records, randomness):
                self._discriminators[number].train(records, images, labels, randomness)
        drawn = self._discriminators[draws.below(mechanism.shards)]
        gradients = clipped_rows(_at(drawn, images, labels), mechanism.clip)
        [noisy], receipt = self._parts.release([gradients], mechanism, draws)
        return noisy, receipt

    def _warmed_up(self) -> list[Discriminator]:
        """The discriminator of each shard, as it is before the first step."""
        trained = []
        with self._progress.phase("train the discriminators (private)", len(self._shards)) as advance:
            for number in range(len(self._shards)):
                with self._training(number, 0) as (records, randomness):
                    discriminator = self._new()
                    discriminator.warm_up(records, randomness)
                trained.append(discriminator)
                advance(1)
        return trained

    @contextmanager
    def _training(self, number: int, time: int) -> Iterator[tuple[DrawRecords, torch.Generator]]:
        """The records and the randomness with which a discriminator trains for the given time; no draw affects them."""
        seed = self._parts.noise.of(f"discriminator {number} of '{self._mechanism.name}'", time).seed()
        randomness, device = torch.Generator().manual_seed(seed), self._parts.device
        with global_randomness(seed, device):
            yield partial(_drawn, self._shards[number], randomness, device), randomness

    def _check(self, probes: Probes) -> None:
        """Trains one discriminator on synthetic records under guard: only its gradients may leave the training.

        Another one must stay as it is when it scores images: only drawn ones do.
        """
        images, labels = self._generate()
        images, device = images.detach(), self._parts.device

        def answer(records: Batch) -> Tensor:
            with global_randomness(0, device):
                draws = torch.Generator().manual_seed(0)
                discriminator, synthetic = self._new(), partial(_selected, records, draws)
                discriminator.warm_up(synthetic, draws)
                discriminator.train(synthetic, images, labels, draws)
                return _at(discriminator, images, labels)

        values = guarded(answer, probes.take(DISTINCT)[0], f"the training of '{self._mechanism.name}'")
        if values.shape != images.shape:
            raise PrivacyError(f"'{self._mechanism.name}' gives gradients of another shape than the images")

        with global_randomness(0, device):
            untrained = self._new()
            before = copy.deepcopy(untrained.state_dict())
            _at(untrained, images, labels)
        if not _same(before, untrained.state_dict()):
            raise PrivacyError(
                f"'{self._mechanism.name}': a discriminator changes when it scores images, so later answers would show "
                "which ones were drawn; use no layers that do, such as spectral or batch normalisation in training mode"
            )

    def state_dict(self) -> dict[str, Any]:
        """The number of receipts so far, and the discriminators."""
        return {
            "releases": self._parts.ledger.spent[self._mechanism.name],
            "discriminators": [discriminator.state_dict() for discriminator in self._discriminators],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> int:
        """Continues after the stored steps; returns their number. See `DPSGDStepper.load_state_dict`."""
        self._parts.ledger.restore(self._mechanism, state["releases"])
        with global_randomness(0, self._parts.device):  # for first weights, which are replaced
            self._discriminators = [self._restored(stored) for stored in state["discriminators"]]
        return int(state["releases"])

    def _restored(self, state: dict[str, Any]) -> Discriminator:
        discriminator = self._new()
        discriminator.load_state_dict(state)
        return discriminator


def deal(records: Records, shards: int) -> list[Shard]:
    """The records in shards of nearly equal size: each `shards` consecutive ones are dealt out in a random order.

    In a fixed order, a dataset whose classes take turns could put one class into each shard. The order is public, and
    the shard of a record depends on its position alone, not on the number of records.
    """
    order, rounds = np.random.default_rng(0), range(0, len(records), shards)
    dealt = np.array([first + order.permutation(shards) for first in rounds])
    return [Shard(records, positions[positions < len(records)].tolist()) for positions in dealt.T]


def _at(discriminator: Discriminator, images: Tensor, labels: Tensor) -> Tensor:
    """The gradients of the scores at the images."""
    images = images.detach().requires_grad_()
    with torch.enable_grad():
        (gradients,) = torch.autograd.grad(discriminator(images, labels).sum(), images)
    return gradients


def _same(a: Any, b: Any) -> bool:
    """Whether two states are equal: tensors and plain values in dicts, lists and tuples."""
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(_same(value, b[key]) for key, value in a.items())
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b)


def _drawn(records: Records, draws: torch.Generator, device: str, size: int) -> Batch:
    return records.batch(torch.randint(len(records), (size,), generator=draws).tolist()).to(device)


def _selected(records: Batch, draws: torch.Generator, size: int) -> Batch:
    return records.select(torch.randint(len(records), (size,), generator=draws))
