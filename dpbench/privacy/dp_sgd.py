"""DP-SGD as a stepper: every `next` is one private optimiser step (arXiv 1607.00133)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from dpbench.privacy.gradients import GradientEngine
from dpbench.privacy.independence import check_layers
from dpbench.privacy.ledger import Receipt
from dpbench.privacy.mechanisms import DPSGD
from dpbench.privacy.noise import global_randomness
from dpbench.privacy.records import padded

if TYPE_CHECKING:
    from dpbench.privacy.private_data import PrivateData


class DPSGDStepper:
    """Private steps: gradient = (Σ_{i in Poisson batch} clip(g_i) + N(0, (noise_multiplier · clip)²)) / expected batch.

    Sensitivity: each per-example gradient has norm at most `clip`, the divisor is a public constant, an empty batch is
    noise alone, and nothing un-noised leaves this object. Steps are Poisson-subsampled Gaussian mechanisms.

    Processes that share the records (see `World`) take every step together and keep the same weights.
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
        self.key = [asdict(mechanism), views, type(engine).__name__]
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
        sums = [torch.zeros_like(p, dtype=torch.float32) for p in self._engine.parameters]
        draws = vault._noise.of(mechanism.name, vault.ledger.spent[mechanism.name] + 1)
        sample = draws.poisson_sample(len(vault._records), mechanism.sampling_rate)
        drawn = torch.randint(2**62, (), generator=self._generator, device=self._generator.device)
        seed = draws.seed() ^ int(drawn)
        generator = torch.Generator(self._generator.device).manual_seed(seed)
        with global_randomness(seed, vault.device):
            for batch, real in padded(vault._records, sample, self._records_per_call, vault.device):
                rows = batch.repeat(self._views)
                part = self._engine.clipped_sum(rows, real, self._views, mechanism.clip, generator)
                for total, addend in zip(sums, part, strict=True):
                    total += addend
        sums, receipt = vault._release(sums, mechanism, draws)
        for parameter, total in zip(self._engine.parameters, sums, strict=True):
            parameter.grad = (total / mechanism.expected_batch).to(parameter.dtype)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        if receipt.number == receipt.planned:
            self._engine.close()
        return receipt

    def state_dict(self) -> dict[str, Any]:
        """The receipts so far, and the generator."""
        return {
            "releases": self._vault.ledger.spent[self._mechanism.name],
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> int:
        """Goes on after the steps that are stored; gives back their number. See `Ledger.restore`.

        The model and the optimiser have to be restored with it. Steps that were taken after the state was stored are
        taken again, with the same samples and the same noise; see `noise_key`.

        Raises:
            PrivacyError: this process has released something already.
        """
        self._vault.ledger.restore(self._mechanism, state["releases"])
        self._generator.set_state(state["generator"])
        return int(state["releases"])
