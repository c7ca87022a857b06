"""Proposals of batch, steps and trained weights for a method at given budgets, measured only on public images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dpbench.benchmark.configure import Configured, configure
from dpbench.benchmark.request import RunRequest
from dpbench.benchmark.session import Session
from dpbench.benchmark.trials.auto_steps import TRAINABLE, Planner, variants
from dpbench.core.errors import DpbenchError
from dpbench.core.progress import Display
from dpbench.privacy.planner import Candidate, best


@dataclass(frozen=True)
class Proposal:
    """Candidate settings of a method at one ε, and the one with the largest expected progress.

    Attributes:
        method: the method as it is configured now.
        dataset: name of the sensitive dataset.
        public: name of the public source on which gradients were measured.
        epsilon: ε of every candidate.
        candidates: value of the setting `trainable` ("all" if the method has no such setting) -> candidates.
    """

    method: Configured
    dataset: str
    public: str
    epsilon: float
    candidates: Mapping[str, Sequence[Candidate]]

    @property
    def best(self) -> Candidate:
        """The candidate with the largest expected progress."""
        return best([candidate for candidates in self.candidates.values() for candidate in candidates])

    @property
    def settings(self) -> dict[str, int | str]:
        """The method's settings that select the best candidate."""
        chosen = self.best
        settings: dict[str, int | str] = {"batch": chosen.mechanism.expected_batch, "steps": chosen.mechanism.steps}
        if len(self.candidates) > 1:
            settings[TRAINABLE] = next(
                value for value, candidates in self.candidates.items() if any(c is chosen for c in candidates)
            )
        return settings

    def is_configured(self, trainable: str, candidate: Candidate) -> bool:
        """Whether a candidate has the trained weights and the batch of the method's current configuration."""
        config = self.method.config
        return (getattr(config, TRAINABLE, "all"), config.batch) == (trainable, candidate.mechanism.expected_batch)


def propose(request: RunRequest, display: Display | None = None, compute: int | None = None) -> Iterator[Proposal]:
    """A proposal per ε of the request.

    Pretrains and measures on public data, unless the result is in the public cache. Only the declaration of the
    sensitive dataset is used; the dataset is never opened.

    Args:
        request: one method, its settings, the dataset, the public source and finite budgets.
        display: where progress is shown.
        compute: the compute budget, batch · steps · views; by default that of the method's settings.

    Raises:
        DpbenchError: the method has no DP-SGD, or the request is wrong.
    """
    if not all(map(math.isfinite, request.epsilons)):
        raise DpbenchError("a proposal needs a finite ε")
    with Session.open(request, display) as session:
        (method,) = configure(request.methods, request.dataset, request.preset, request.settings, request.public)
        planner = Planner(session)
        for epsilon in request.epsilons:
            found = {value: planner.judge(variant, epsilon, compute) for value, variant in variants(method).items()}
            yield Proposal(method, request.dataset, request.public, epsilon, found)
