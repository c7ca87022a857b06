"""The parts that a vault's queries share, and the one function that adds noise."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dpbench.privacy.door import Door
from dpbench.privacy.ledger import Ledger, Receipt
from dpbench.privacy.mechanisms.mechanism import Mechanism
from dpbench.privacy.noise import Draws, NoiseSource
from dpbench.privacy.records import Records
from dpbench.privacy.world import World


@dataclass(frozen=True)
class Parts:
    """The parts of a vault.

    Attributes:
        records: the records of this process.
        ledger: the plan and its receipts.
        noise: source of DP noise and Poisson samples.
        door: whether the vault answers.
        device: where contributions, gradients and sums are computed.
        world: the processes that share the records.
    """

    records: Records
    ledger: Ledger
    noise: NoiseSource
    door: Door
    device: str
    world: World

    def release(self, sums: list[Tensor], mechanism: Mechanism, draws: Draws) -> tuple[list[Tensor], Receipt]:
        """Adds noise to this process's clipped sums, writes the receipt, and only then adds up all processes' sums.

        Args:
            sums: fp32 sums of clipped contributions; those of rank 0 are noised in place.
            mechanism: determines the kind and scale of the noise.
            draws: the randomness of this release.

        Returns:
            The noisy sums over all processes, and the receipt.
        """
        if self.world.leads:  # once, whatever the number of processes
            scale = mechanism.noise_scale_at(self.ledger.spent[mechanism.name] + 1)
            for total in sums:
                total += getattr(draws, mechanism.noise)(tuple(total.shape), scale)
        receipt = self.ledger.spend(mechanism)
        return self.world.all_reduce(sums, receipt.number), receipt
