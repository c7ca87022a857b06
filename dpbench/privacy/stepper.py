"""DP-SGD as a stepper: every `next` is one private optimiser step (arXiv 1607.00133)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dpbench.privacy.checks.loss_checks import LossChecks
from dpbench.privacy.checks.model_state import unchanged
from dpbench.privacy.gradients.engine import GradientEngine
from dpbench.privacy.ledger import Receipt
from dpbench.privacy.mechanisms import DPSGD
from dpbench.privacy.noise import Draws, global_randomness
from dpbench.privacy.records import padded
from dpbench.privacy.slots import in_whole, most_sampled, placed

if TYPE_CHECKING:
    from dpbench.privacy.private_data import PrivateData


class DPSGDStepper:
    """Private steps: gradient = (Σ_{i in Poisson batch} clip(g_i) + N(0, (noise_multiplier · clip)²)) / expected batch.

    Sensitivity: each per-example gradient has norm at most `clip`, the divisor is a public constant, an empty batch is
    noise alone, and nothing un-noised leaves this object. Steps are Poisson-subsampled Gaussian mechanisms, whatever
    the loss makes of a record's place in the batch: records are placed at random (see `slots`).

    A step that breaks off when its sample is drawn closes the vault.

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
        checks: LossChecks,
    ):
        self._vault = vault
        self._mechanism = mechanism
        self._engine = engine
        self._optimizer = optimizer
        self._generator = generator
        self._views = views
        self.key = [asdict(mechanism), views, type(engine).__name__]
        self._records_per_call = max(1, micro_batch // views)
        self._checks = checks

    def __len__(self) -> int:
        return self._mechanism.steps

    def __iter__(self) -> Iterator[Receipt]:
        return self

    def __next__(self) -> Receipt:
        vault, mechanism = self._vault, self._mechanism
        done = vault.ledger.spent[mechanism.name]
        if done == mechanism.releases:
            self._engine.close()
            raise StopIteration
        vault.door.require_open()
        self._engine.refuse_changes()
        self._checks.before_step(done, mechanism.releases)
        sums, receipt = vault.door.behind(
            f"step {done + 1} of '{mechanism.name}'",
            lambda: self._noisy_sums(vault._noise.of(mechanism.name, done + 1)),
        )
        for parameter, total in zip(self._engine.parameters, sums, strict=True):
            parameter.grad = (total / mechanism.expected_batch).to(parameter.dtype)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        if receipt.number == receipt.planned:
            self._engine.close()
        return receipt

    def _noisy_sums(self, draws: Draws) -> tuple[list[Tensor], Receipt]:
        """One release: the noisy sums of the clipped gradients of a Poisson sample."""
        vault, mechanism, size = self._vault, self._mechanism, self._records_per_call
        sums = [torch.zeros_like(p, dtype=torch.float32) for p in self._engine.parameters]
        sample = draws.poisson_sample(len(vault._records), mechanism.sampling_rate)
        constant = 0 if self._checks.order_free else most_sampled(len(vault._records), mechanism.sampling_rate)
        rows = placed(sample, in_whole(max(len(sample), constant), size), draws.seed())
        drawn = torch.randint(2**62, (), generator=self._generator, device=self._generator.device)
        seed = draws.seed() ^ int(drawn)
        generator = torch.Generator(self._generator.device).manual_seed(seed)
        with global_randomness(seed, vault.device), unchanged(self._engine.model, "a private step"):
            for batch, real in padded(vault._records, rows, size, vault.device):
                part = self._engine.clipped_sum(batch.repeat(self._views), real, self._views, mechanism.clip, generator)
                self._checks.watched.refuse_kept()
                for total, addend in zip(sums, part, strict=True):
                    total += addend
        return vault._release(sums, mechanism, draws)

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
