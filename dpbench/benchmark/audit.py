"""`dpbench audit` as functions: canaries in a method's private phase, and every query of the vault on a small model.

Nothing here opens the sensitive dataset: what it declares is enough, and public records stand in for its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dpbench.benchmark.configure import DEFAULT_PRESET, Configured, configure, refuse_auto
from dpbench.benchmark.device import resolve_device, resolve_precision
from dpbench.benchmark.display import Display
from dpbench.benchmark.grid import Sweep, check_epsilon, uses_public
from dpbench.benchmark.places import data_folder
from dpbench.benchmark.runner import plan_of
from dpbench.benchmark.sources import Sources
from dpbench.core.checkpoints import Checkpoints
from dpbench.core.data import DataOptions, ImageDataset
from dpbench.core.errors import DpbenchError
from dpbench.core.places import cache_folder
from dpbench.core.progress import Advance, Progress
from dpbench.core.run import PublicCache, RunContext
from dpbench.core.seal import sealed
from dpbench.core.specs import Budget, DatasetSpec
from dpbench.privacy.accounting import epsilon_pld
from dpbench.privacy.auditing.many_runs import many_runs
from dpbench.privacy.auditing.one_run import Guesses, one_run
from dpbench.privacy.auditing.small_model import NAME, QUERIES, many_scores, run_plan, watch
from dpbench.privacy.auditing.vault import AuditVault
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.mechanisms import DPSGD, Mechanism
from dpbench.privacy.plan import Plan

RECORDS = 4000
"""Records of an audit, unless asked for otherwise: enough canaries for a bound, and quick."""

WHOLE = "whole plan"


@dataclass(frozen=True)
class Finding:
    """What an audit says of one mechanism, of a whole plan, or of one query of the vault.

    Attributes:
        subject: its name.
        releases: how many were made (of one run, for a query).
        trials: canaries of the one run, or runs.
        guesses: about canaries; None for many runs.
        claimed: ε.
        bound: lower bound on ε by its trade-off curve.
        bound_epsilon: lower bound by (ε, δ)-DP alone; None for many runs.
        noise: measured scale of the noise over the planned one; None for a whole plan.
        contribution: a canary's measured mean contribution over the clip; None where that is not measured.
        seconds: taken.
        faults: other contradictions to the plan.
    """

    subject: str
    releases: int
    trials: int
    guesses: Guesses | None
    claimed: float
    bound: float
    bound_epsilon: float | None
    noise: float | None
    contribution: float | None
    seconds: float
    faults: tuple[str, ...] = ()

    def failures(self, confidence: float) -> Iterator[str]:
        """Why the claim cannot hold, one line each; none where nothing contradicts it."""
        bound = max(self.bound, self.bound_epsilon or 0.0)
        if bound > self.claimed:
            yield (
                f"{self.subject}: ε is at least {bound:.3g} (confidence {confidence:.2%}), where "
                f"{self.claimed:.3g} is claimed"
            )
        yield from (f"{self.subject}: {fault}" for fault in self.faults)


@dataclass(frozen=True)
class Setting:
    """What an audit of a method works on.

    Attributes:
        spec: what the dataset declares, but with the audit's number of records.
        public: the images that stand in for the sensitive ones.
        plan: the method's, for as many records at the same sampling rates; not calibrated.
        budget: ε and δ; the δ of the whole dataset.
    """

    spec: DatasetSpec
    public: ImageDataset
    plan: Plan
    budget: Budget


def audit_method(
    name: str,
    epsilon: float,
    *,
    display: Display,
    dataset: str = "shapes",
    public: str = "textures",
    delta: float | None = None,
    preset: str = DEFAULT_PRESET,
    settings: Mapping[str, Any] | None = None,
    resolution: int | None = None,
    records: int = RECORDS,
    canaries: int | None = None,
    steps: int | None = None,
    confidence: float = 0.99,
    prepare: bool = False,
    device: str = "auto",
    precision: str = "auto",
    data: Path | None = None,
    download: bool = False,
) -> list[Finding]:
    """Audits the private phase of a method: its own `fit` on public records among which there are canaries.

    The plan is that of the whole dataset at the same sampling rates, with fewer records: ε, δ, noise and composition do
    not depend on their number. What comes after the last planned release is post-processing and is not run.

    Args:
        name: of the method; the other settings are those of its preset, with `settings` over them.
        epsilon: finite budget.
        display: where progress shows.
        dataset: name of the sensitive dataset, of which only the declaration is used.
        public: name of the public source whose images stand in for it.
        records: how many the audit has.
        canaries: how many of them are canaries; by default half.
        steps: DP-SGD steps at most, the noise being calibrated for as many; None for all.
        confidence: that a bound holds, for each by itself.
        prepare: whether the public parts are trained first; otherwise they start as they are initialised.

    Returns:
        A finding per mechanism of the plan, and one of the whole plan where it has several.

    Raises:
        DpbenchError: the request does not go together, or the method fails.
    """
    _check(epsilon, confidence)
    (method,) = configure([name], dataset, preset, settings or {})
    refuse_auto(method)
    device = resolve_device(device)
    sources = Sources(dataset, public, DataOptions(data_folder(data), resolution, download), cache_folder())
    setting = _setting(method, sources, Budget(epsilon, Sweep((epsilon,), 1, 1, delta=delta).delta_for(sources.spec)),
                       min(records, sources.spec.n_train), steps)  # fmt: skip
    count = setting.spec.n_train // 2 if canaries is None else canaries
    if not 2 <= count <= setting.spec.n_train:
        raise DpbenchError(f"{count} canaries among {setting.spec.n_train} records; choose 2 to {setting.spec.n_train}")
    start = time.perf_counter()
    present = np.random.default_rng().random(count) < 0.5
    plan = calibrate(setting.plan, setting.budget)
    computed_in = resolve_precision(precision, device)
    vault = AuditVault(setting.public, setting.spec, plan, present, device, computed_in)
    run = RunContext(
        device,
        torch.Generator().manual_seed(0),
        PublicCache(cache_folder() / "public"),
        display,
        None,
        computed_in,
        Checkpoints(None),
    )
    _fit(method, setting, vault, run, sources, prepare)
    vault.ledger.check_complete()
    seconds = time.perf_counter() - start
    findings = []
    for m in plan.mechanisms:
        bounds = time.perf_counter()
        scores = vault.scores[m.name]
        found = one_run(scores.values, present, [m.event()], setting.budget.delta, confidence)
        findings.append(
            Finding(
                m.name,
                scores.releases,
                count,
                found.guesses,
                epsilon_pld([m.event()], setting.budget.delta),
                found.epsilon_curve,
                found.epsilon,
                scores.noise,
                scores.contribution,
                time.perf_counter() - bounds + (seconds if len(plan.mechanisms) == 1 else 0),
                tuple(scores.faults(vault.ledger.spent[m.name])),
            )
        )
    if len(findings) > 1:
        total = np.sum([scores.values for scores in vault.scores.values()], axis=0)
        events = [m.event() for m in plan.mechanisms]
        found = one_run(total, present, events, setting.budget.delta, confidence)
        made = sum(f.releases for f in findings)
        spent = time.perf_counter() - start
        whole = (plan.epsilon, found.epsilon_curve, found.epsilon)
        findings.append(Finding(WHOLE, made, count, found.guesses, *whole, None, None, spent))
    return findings
