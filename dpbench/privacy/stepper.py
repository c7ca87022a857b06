"""DP-SGD as a stepper: every `next` is one private optimiser step (arXiv 1607.00133)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, final

import torch
from torch import Tensor

from dpbench.privacy.checked_gradients import CheckedGradients
from dpbench.privacy.checks.model_state import unchanged
from dpbench.privacy.ledger import Receipt
from dpbench.privacy.mechanisms.mechanism import DPSGD
from dpbench.privacy.noise import Draws, global_randomness
from dpbench.privacy.parts import Parts
from dpbench.privacy.records import padded
from dpbench.privacy.slots import in_whole, most_sampled, placed


@final
class DPSGDStepper:
    """Private steps: gradient = (Σ_{i in Poisson batch} clip(g_i) + N(0, (noise_multiplier · clip)²)) / expected batch.

    Sensitivity: each clipped gradient has norm at most `clip`, in flat and in automatic clipping. The divisor is a
    public constant, an empty batch gives noise alone, and nothing un-noised leaves this object. Steps are
    Poisson-subsampled Gaussian mechanisms even where the loss depends on a record's place in the batch, because places
    are drawn at random (see `slots`).

    A step that fails after its sample was drawn closes the vault.

    Processes that share the records (see `World`) take every step together and keep the same weights.

    Args:
        parts: the vault's parts.
        mechanism: the planned mechanism, with its noise.
        gradients: checked gradients of the model that is trained.
        optimizer: takes the noisy mean gradient.
        generator: the experiment's generator; each step draws one number from it.
    """

    def __init__(
        self,
        parts: Parts,
        mechanism: DPSGD,
        gradients: CheckedGradients,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
    ):
        self._parts = parts
        self._mechanism = mechanism
        self._gradients = gradients
        self._optimizer = optimizer
        self._generator = generator
        self.key = [asdict(mechanism), gradients.views, type(gradients.engine).__name__, gradients.engine.gamma]

    def __len__(self) -> int:
        return self._mechanism.steps

    def __iter__(self) -> Iterator[Receipt]:
        return self

    def __next__(self) -> Receipt:
        parts, mechanism, gradients = self._parts, self._mechanism, self._gradients
        done = parts.ledger.spent[mechanism.name]
        if done == mechanism.releases:
            gradients.engine.close()
            raise StopIteration
        parts.door.require_open()
        parts.ledger.require(mechanism.name, DPSGD)
        gradients.engine.refuse_changes()
        gradients.checks.before_step(done, mechanism.releases)
        sums, receipt = parts.door.behind(
            f"step {done + 1} of '{mechanism.name}'", lambda: self._noisy_sums(parts.noise.of(mechanism.name, done + 1))
        )
        gradients.step(sums, mechanism.expected_batch_at(done + 1), self._optimizer)
        if receipt.number == receipt.planned:
            gradients.engine.close()
        return receipt

    def _noisy_sums(self, draws: Draws) -> tuple[list[Tensor], Receipt]:
        """One release: the noisy sums of the clipped gradients of a Poisson sample."""
        parts, mechanism, gradients = self._parts, self._mechanism, self._gradients
        n, size = len(parts.records), gradients.records_per_call
        rate = mechanism.rate_at(parts.ledger.spent[mechanism.name] + 1)
        sample = draws.poisson_sample(n, rate)
        delta = parts.ledger.plan.budget.delta
        constant = 0 if gradients.checks.order_free else most_sampled(n, rate, mechanism.releases, delta)
        rows = placed(sample, in_whole(max(len(sample), constant), size), draws)
        drawn = torch.randint(2**62, (), generator=self._generator, device=self._generator.device)
        seed = draws.seed() ^ int(drawn)
        generator = torch.Generator(self._generator.device).manual_seed(seed)
        with global_randomness(seed, parts.device), unchanged(gradients.engine.model, "a private step"):
            batches = padded(parts.records, rows, size, parts.device)
            sums = gradients.clipped_sums(batches, mechanism.clip, generator)
        return parts.release(sums, mechanism, draws)

    def state_dict(self) -> dict[str, Any]:
        """The receipts so far, and the generator."""
        return {
            "releases": self._parts.ledger.spent[self._mechanism.name],
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> int:
        """Continues after the stored steps; returns their number. See `Ledger.restore`.

        The model and the optimiser must be restored with it. Steps taken after the state was stored are taken again,
        with the same samples and the same noise; see `noise_key`.

        Raises:
            PrivacyError: this process has made more releases than that.
        """
        self._parts.ledger.restore(self._mechanism, state["releases"])
        self._generator.set_state(state["generator"])
        return int(state["releases"])
