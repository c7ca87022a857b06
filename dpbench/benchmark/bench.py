"""What the trials of one command share, and the working environment that each phase of a trial gets from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from dpbench.benchmark.launch import Launch
from dpbench.benchmark.sources import Sources
from dpbench.benchmark.subject import Subject
from dpbench.core.cache import PublicCache
from dpbench.core.checkpoints import CHECKPOINTS, Checkpoints
from dpbench.core.context import Precision, RunContext
from dpbench.core.files import digest
from dpbench.core.progress import Display
from dpbench.core.seal import sealed


@dataclass(frozen=True)
class Bench:
    """What the trials of one command share."""

    sources: Sources
    launch: Launch
    precision: Precision
    cache: PublicCache
    display: Display
    out: Path

    @property
    def device(self) -> str:
        """What this process computes on."""
        return self.launch.device

    @contextmanager
    def context(self, subject: Subject, phase: str, code: str = "") -> Iterator[RunContext]:
        """A phase's working environment, its generators seeded from the trial's seed and the phase alone.

        The global generator, from which initial weights come, is put back afterwards. None of this reaches DP noise.
        Until a method has sampled, the test split is closed to it, and so is every way to train but `PrivateData`. The
        public cache is open in `prepare` alone, also to a method that keeps it.

        Args:
            code: hash of the code that the phase runs, by which its checkpoints are told apart; "" for a phase that
                stores none.
        """
        seed = int(digest([subject.seed, phase]), 16) % 2**63
        seal = nullcontext() if phase == "evaluate" else sealed(self.sources.dataset)
        with torch.random.fork_rng(devices=[]), seal:
            torch.manual_seed(seed)
            generator = torch.Generator().manual_seed(seed)
            leads = self.launch.leads
            checkpoints = Checkpoints(subject.workplace / CHECKPOINTS / phase if code else None, leads, code)
            kept = subject.workplace if leads else None
            cache = PublicCache(self.cache.folder)
            if phase in ("fit", "sample"):
                cache.close()
            yield RunContext(self.device, generator, cache, self.display, kept, self.precision, checkpoints)
            cache.close()
