"""`dpbench audit` as functions: canaries in a method's private phase, and every query of the vault on a small model.

The sensitive dataset is never opened: only its declaration is used, and public records replace its records.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import numpy as np

from dpbench.benchmark.configure import Configured, configure, plan_of, refuse_auto
from dpbench.benchmark.request import RunRequest
from dpbench.benchmark.session import Session
from dpbench.core.errors import DpbenchError, foreign_code
from dpbench.core.progress import Advance, Display, Progress
from dpbench.core.specs import Budget, DatasetSpec, Request
from dpbench.privacy.auditing.audited_vault import AuditedVault
from dpbench.privacy.auditing.canaries import CanaryRecords
from dpbench.privacy.auditing.findings import Finding, of_query, of_vault
from dpbench.privacy.auditing.small_model import QUERIES
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.mechanisms.mechanism import DPSGD, Mechanism
from dpbench.privacy.plan import Plan
from dpbench.training.device import resolve_device

QUERY_DELTA = 1e-5
"""Default δ of an audit of the vault's queries."""


@dataclass(frozen=True)
class Size:
    """Size of an audit.

    Attributes:
        records: maximum number of public records that replace the sensitive ones.
        canaries: number of canaries among them; None for three in four.
        steps: maximum number of DP-SGD steps, for which the noise is calibrated; None for all.
        runs: runs of the classical test per query.
        confidence: the confidence of each bound: a true claim is refuted with probability at most 1 - confidence.
    """

    records: int = 4000
    canaries: int | None = None
    steps: int | None = None
    runs: int = 1000
    confidence: float = 0.99

    def __post_init__(self) -> None:
        if not 0.5 <= self.confidence < 1:
            raise DpbenchError(f"the confidence must be in [0.5, 1), not {self.confidence:g}")
        if self.canaries is not None and not 10 <= self.canaries <= self.records:
            raise DpbenchError(f"choose 10 to {self.records} canaries, not {self.canaries}: canaries count as records")
        for what, value, least in (("records", self.records, 20), ("runs", self.runs, 100), ("steps", self.steps, 1)):
            if value is not None and value < least:
                raise DpbenchError(f"an audit needs at least {least} {what}, not {value}")


def audit_queries(
    epsilon: float, size: Size, display: Display, *, delta: float | None = None, device: str = "auto"
) -> list[Finding]:
    """Audits `dp_sgd` with every engine, and `noisy_sum`, on a small model.

    Args:
        epsilon: the finite ε that one run claims.
        size: runs and confidence.
        display: where progress shows.
        delta: δ, by default `QUERY_DELTA`.
        device: torch device name, or "auto".
    """
    budget = _budget(epsilon, QUERY_DELTA if delta is None else delta)
    device = resolve_device(device)
    return [of_query(query, budget, size.runs, size.confidence, device, display) for query in QUERIES]


def audit_method(
    request: RunRequest, epsilon: float, size: Size, display: Display | None = None, prepare: bool = False
) -> list[Finding]:
    """Audits the private phase of a method: runs its own `fit` on public records with canaries among them.

    The plan is that of the whole dataset, with fewer records at the same sampling rates: ε, δ, noise and composition do
    not depend on the number of records. Code after the last planned release is post-processing, and does not run.

    Args:
        request: one method, its settings, and the dataset. Only the dataset's declaration is used; the public source
            replaces its records.
        epsilon: finite budget.
        size: records, canaries, steps and confidence.
        display: where progress shows.
        prepare: whether the public parts are trained first, if the method has any; otherwise they stay untrained.

    Returns:
        A finding per mechanism of the plan, and one for the whole plan if it has several mechanisms.

    Raises:
        DpbenchError: the request is wrong, or the method fails.
    """
    with Session.open(request, display) as session:
        declared, public = session.inputs.spec, session.inputs.public
        (method,) = configure(request.methods, request.dataset, request.preset, request.settings, request.public)
        refuse_auto(method)
        budget, conditions = _budget(epsilon, request.delta_for(declared)), request.samples_of(declared)
        spec, plan = _smaller(method, declared, conditions, size)
        canaries = min(size.canaries or 3 * spec.n_train // 4, spec.n_train)
        present = np.random.default_rng().random(canaries) < 0.5
        start = time.perf_counter()
        records = CanaryRecords(public, spec, present)
        calibrated, device, precision = calibrate(plan, budget), session.device, session.precision
        vault = AuditedVault(records, calibrated, device=device, precision=precision, request=conditions)
        _fit(method, vault, session, prepare)
        return of_vault(vault, size.confidence, time.perf_counter() - start)


def _budget(epsilon: float, delta: float) -> Budget:
    if not 0 < epsilon < math.inf:
        raise DpbenchError(f"an audit needs a finite, positive ε, not {epsilon:g}")
    return Budget(epsilon, delta)


def _smaller(method: Configured, spec: DatasetSpec, request: Request, size: Size) -> tuple[DatasetSpec, Plan]:
    """The declaration and the plan with the audit's numbers of records and steps, at the same sampling rates."""
    records = min(size.records, spec.n_train)

    def smaller(m: Mechanism) -> Mechanism:
        if not isinstance(m, DPSGD):
            return m
        m.refuse_schedule("an audit")
        steps = min(m.steps, size.steps or m.steps)
        return replace(m, n=records, expected_batch=max(1, round(m.sampling_rate * records)), steps=steps)

    plan = plan_of(method.method, method.config, spec, request)
    if not plan.mechanisms:
        raise DpbenchError(f"the plan of {method.title} releases nothing, so it cannot be audited")
    return replace(spec, n_train=records), Plan(*map(smaller, plan.mechanisms))


def _fit(method: Configured, vault: AuditedVault, session: Session, prepare: bool) -> None:
    """Fits the method up to the last planned release."""
    hint = "" if prepare else "; if fit needs the results of prepare, add --prepare"
    with foreign_code(f"the private phase of '{method.name}'", hint=hint), suppress(PlanSpent):
        with session.seal.everything_closed():
            fitted = method.method(method.config, vault.spec)
        if prepare:
            with session.phase("prepare", 0) as run:
                fitted.prepare(session.inputs.public if method.uses_public else None, run)
        with session.phase("fit", 0) as run:
            fitted.fit(vault, replace(run, progress=UntilSpent(run.progress, vault.ledger)))
    vault.ledger.check_complete()


class PlanSpent(Exception):
    """Every planned release has been made; the rest is post-processing."""


class UntilSpent:
    """Shows phases until every planned release has been made.

    Raises:
        PlanSpent: a phase begins or continues after the last release.
    """

    def __init__(self, progress: Progress, ledger: Ledger):
        self._progress, self._ledger = progress, ledger

    @contextmanager
    def phase(self, name: str, total: int) -> Iterator[Advance]:
        """Opens a bar."""
        self._require_releases_left()
        with self._progress.phase(f"audit: {name}", total) as shown:

            def advance(steps: int = 1, note: str = "") -> None:
                self._require_releases_left()
                shown(steps, note)

            yield advance

    def _require_releases_left(self) -> None:
        if all(map(self._ledger.is_spent, self._ledger.plan.mechanisms)):
            raise PlanSpent


def contradictions(findings: list[Finding], size: Size) -> Iterator[str]:
    """The contradictions of claims, one line each."""
    for finding in findings:
        yield from finding.contradictions(size.confidence)
