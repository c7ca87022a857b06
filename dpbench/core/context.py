"""The working environment of a method: device, precision, generators, progress, caches; nothing private or global."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dpbench.core.cache import PublicCache
from dpbench.core.checkpoints import Checkpoints
from dpbench.core.progress import Progress, Silent

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "bf16"]


@dataclass
class RunContext:
    """One trial's working environment.

    Attributes:
        device: torch device name, e.g. "cpu" or "cuda:0".
        generator: the experiment's CPU generator (initial weights, public batches, sampling); never DP noise (rule R4).
        cache: public pretraining, shared by all trials; open in `prepare` alone.
        progress: shows long phases.
        folder: the trial's folder, or None if nothing is kept.
        precision: what models compute in; weights, optimiser states and private sums are always fp32.
        checkpoints: where training stores its state; by default nowhere.
        shows_losses: whether progress may show losses of public steps. In `fit` they may depend on records, and without
            noise in the non-private reference, so they are shown there only for datasets declared public (rule R6).
    """

    device: str
    generator: torch.Generator
    cache: PublicCache
    progress: Progress = field(default_factory=Silent)
    folder: Path | None = None
    precision: Precision = "fp32"
    checkpoints: Checkpoints = field(default_factory=lambda: Checkpoints(None))
    shows_losses: bool = False

    def autocast(self) -> torch.autocast:
        """A context in which torch's matrix products and convolutions run in this precision."""
        import torch

        return torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.precision == "bf16")
