"""The findings of an audit, per mechanism or per query, and whether they contradict the claim."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpbench.core.progress import Progress
from dpbench.core.specs import Budget
from dpbench.privacy.accounting.composition import epsilon_pld
from dpbench.privacy.auditing.audited_vault import AuditedVault
from dpbench.privacy.auditing.canary_scores import Measured, Scores, simulated
from dpbench.privacy.auditing.many_runs import many_runs
from dpbench.privacy.auditing.one_run import Guesses, best_attempt, failure_of_each, one_run
from dpbench.privacy.auditing.small_model import NAME, many_scores, run_plan, watch

WHOLE_PLAN = "whole plan"

SIMULATIONS = 5
"""Number of simulated runs on which the number of guesses is chosen."""

NOISES = (1.0, 0.5)
"""Noise of the simulations, in units of the planned noise: a number of guesses is chosen for each."""


@dataclass(frozen=True)
class Finding:
    """The result of auditing one mechanism, a whole plan, or one query of the vault.

    Attributes:
        subject: its name.
        releases: number of releases; of a query, in one run.
        trials: number of canaries in the one run, or number of runs.
        guesses: guesses about canaries; None for many runs.
        claimed: the claimed ε.
        by_epsilon: lower bound on ε by (ε, δ)-DP; None for many runs.
        by_curve: lower bound on ε by the trade-off curve.
        noise: scale of the noise over the planned one; None for a whole plan.
        contribution: a canary's mean contribution over the clip; None where it is not measured.
        seconds: duration.
        faults: other contradictions of the plan, one line each.
    """

    subject: str
    releases: int
    trials: int
    guesses: Guesses | None
    claimed: float
    by_epsilon: float | None
    by_curve: float
    noise: Measured | None
    contribution: Measured | None
    seconds: float
    faults: tuple[str, ...] = ()

    def contradictions(self, confidence: float) -> Iterator[str]:
        """Reasons why the claim is false, one line each.

        Args:
            confidence: probability that both bounds hold if the claim is true.
        """
        bound = max(self.by_curve, self.by_epsilon or 0.0)
        if bound > self.claimed:
            yield f"{self.subject}: ε is at least {bound:.3g} at confidence {confidence:g}, not {self.claimed:.3g}"
        yield from self.faults


def of_vault(vault: AuditedVault, confidence: float, seconds: float) -> list[Finding]:
    """A finding per Gaussian mechanism in the plan of a vault after `fit`, and one for all if there are several.

    Args:
        vault: the vault after `fit`.
        confidence: of each finding: a true claim is refuted with probability at most 1 - confidence.
        seconds: duration of `fit`.
    """
    plan = vault.ledger.plan

    def judge(subject: str, seen: Sequence[Scores], claimed: float) -> Finding:
        start = time.perf_counter()
        events = [event for s in seen for event in s.mechanism.events()]
        total: NDArray[np.float64] = np.sum([s.values for s in seen], axis=0)
        mechanisms, random = [s.mechanism for s in seen], np.random.default_rng(0)
        tried = []
        for noise in NOISES:
            likely = [simulated(mechanisms, len(total), noise, random) for _ in range(SIMULATIONS)]
            attempt = best_attempt(likely, plan.budget.delta, failure_of_each(confidence, len(NOISES)))
            tried.append(attempt.guess(total, vault.present))
        found = one_run(tried, events, plan.budget.delta, confidence)
        only = seen[0] if len(seen) == 1 else None
        given_up = vault.ledger.forfeited.get(subject, 0)
        return Finding(
            subject,
            releases=sum(s.releases for s in seen),
            trials=len(total),
            guesses=found.guesses,
            claimed=claimed,
            by_epsilon=found.by_epsilon,
            by_curve=found.by_curve,
            noise=only.noise if only else None,
            contribution=only.contribution if only else None,
            seconds=time.perf_counter() - start + (0.0 if only and len(vault.scores) > 1 else seconds),
            faults=tuple(only.faults(vault.ledger.spent[subject], given_up)) if only else (),
        )

    def alone(seen: Scores) -> Finding:
        mechanism = seen.mechanism
        return judge(mechanism.name, [seen], epsilon_pld(mechanism.events(), plan.budget.delta))

    findings = [alone(seen) for seen in vault.scores.values()]
    if len(findings) > 1:
        findings.append(judge(WHOLE_PLAN, list(vault.scores.values()), plan.epsilon))
    return findings


def of_query(query: str, budget: Budget, runs: int, confidence: float, device: str, progress: Progress) -> Finding:
    """The finding of one query on the small model: see `small_model`."""
    start = time.perf_counter()
    noise, faults = watch(query, device)
    plan = run_plan(query, budget)
    present, absent = many_scores(query, plan, runs, device, progress)
    bound = many_runs(present, absent, plan[NAME].events(), budget.delta, confidence)
    seconds, releases = time.perf_counter() - start, plan[NAME].releases
    return Finding(query, releases, runs, None, plan.epsilon, None, bound, noise, None, seconds, tuple(faults))
