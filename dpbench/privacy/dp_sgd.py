"""DP-SGD as a stepper: every `next` is one private optimiser step (arXiv 1607.00133)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from dpbench.privacy.gradients import GradientEngine
from dpbench.privacy.independence import check_layers
from dpbench.privacy.ledger import Receipt
from dpbench.privacy.mechanisms import DPSGD
from dpbench.privacy.noise import global_randomness

if TYPE_CHECKING:
    from dpbench.privacy.private_data import PrivateData


class DPSGDStepper:
    """Private steps: gradient = (Σ_{i in Poisson batch} clip(g_i) + N(0, (noise_multiplier · clip)²)) / expected batch.

    Sensitivity: each per-example gradient has norm at most `clip`, the divisor is a public constant, an empty batch is
    noise alone, and nothing un-noised leaves this object. Steps are Poisson-subsampled Gaussian mechanisms.
    """

    def __init__(
        self,
        vault: PrivateData,
        mechanism: DPSGD,
        engine: GradientEngine,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
        views: int,
        micro_batch: int,
    ):
        self._vault = vault
        self._mechanism = mechanism
        self._engine = engine
        self._optimizer = optimizer
        self._generator = generator
        self._views = views
        self._records_per_call = max(1, micro_batch // views)

    def __len__(self) -> int:
        return self._mechanism.steps

    def __iter__(self) -> Iterator[Receipt]:
        return self

    def __next__(self) -> Receipt:
        vault, mechanism = self._vault, self._mechanism
        if vault.ledger.spent[mechanism.name] == mechanism.releases:
            self._engine.close()
            raise StopIteration
        check_layers(self._engine.model)
        self._engine.refuse_changes()
        assert mechanism.noise_multiplier is not None
        sums = [torch.zeros_like(p, dtype=torch.float32) for p in self._engine.parameters]
        sample = vault._noise.poisson_sample(len(vault._records), mechanism.sampling_rate)
        drawn = torch.randint(2**62, (), generator=self._generator, device=self._generator.device)
        seed = vault._noise.seed() ^ int(drawn)
        generator = torch.Generator(self._generator.device).manual_seed(seed)
        with global_randomness(seed, vault.device):
            for batch, real in vault._padded(sample, self._records_per_call):
                rows = batch.repeat(self._views)
                part = self._engine.clipped_sum(rows, real, self._views, mechanism.clip, generator)
                for total, addend in zip(sums, part, strict=True):
                    total += addend
        for total in sums:
            total += vault._noise.gaussian(tuple(total.shape), mechanism.noise_multiplier * mechanism.clip)
        receipt = vault.ledger.spend(mechanism)
        for parameter, total in zip(self._engine.parameters, sums, strict=True):
            parameter.grad = (total / mechanism.expected_batch).to(parameter.dtype)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        if receipt.number == receipt.planned:
            self._engine.close()
        return receipt
