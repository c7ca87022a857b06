"""The ledger: every release is checked against the plan and recorded before it is returned (rule R2)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from dpbench.core.errors import DpbenchError, PrivacyError
from dpbench.core.files import read_json, write_json
from dpbench.privacy.accounting.composition import epsilon_pld
from dpbench.privacy.mechanisms.mechanism import Mechanism
from dpbench.privacy.plan import CalibratedPlan

M = TypeVar("M", bound=Mechanism)

CURVE_POINTS = 20


@dataclass(frozen=True)
class Receipt:
    """One release.

    Attributes:
        mechanism: its name.
        number: the release's number, from 1.
        planned: number of planned releases of the mechanism.
    """

    mechanism: str
    number: int
    planned: int


class Ledger:
    """Counts the releases of a calibrated plan.

    Args:
        plan: the releases that are allowed.
        path: JSON file, rewritten atomically at every release; None keeps the ledger in memory.

    Attributes:
        spent: mechanism -> releases made.
        forfeited: mechanism -> releases given up; see `forfeit`.
        unverified: reasons why records were read outside the mechanisms.
        released_before: whether an interrupted attempt may have released anything, or touched records outside
            mechanisms.
    """

    def __init__(self, plan: CalibratedPlan, path: Path | None = None):
        self.plan = plan
        self.path = path
        self.spent = {m.name: 0 for m in plan.mechanisms}
        self.forfeited: dict[str, int] = {}
        self.unverified: list[str] = []
        self.released_before = True
        self._curve: dict[tuple[int, ...], float] = {}

    @classmethod
    def at(cls, path: Path, plan: CalibratedPlan) -> Ledger:
        """A ledger that is written to `path` now, or that continues the ledger of an interrupted attempt at the run.

        Receipts are restored together with stored results (see `restore`); marks are always restored.
        """
        ledger = cls(plan, path)
        if path.exists():
            ledger.unverified, released = _earlier(path)
            ledger.released_before = bool(released or ledger.unverified)
        else:
            ledger._write()
        return ledger

    def require(self, name: str, kind: type[M]) -> M:
        """The planned mechanism `name`, with at least one release left. Reads no data.

        Raises:
            PrivacyError: it is not in the plan, is of another kind, or all its releases are spent.
        """
        mechanism = self.plan[name]
        if not isinstance(mechanism, kind):
            raise PrivacyError(f"'{name}' is planned as {type(mechanism).__name__}, not as {kind.__name__}")
        if name in self.forfeited:
            raise PrivacyError(f"'{name}' was forfeited after {self.spent[name]} of {mechanism.releases} releases")
        if self.is_spent(mechanism):
            raise PrivacyError(f"all {mechanism.releases} planned releases of '{name}' are spent")
        return mechanism

    def spend(self, mechanism: Mechanism) -> Receipt:
        """Records one release; to be called before its result is returned."""
        self.require(mechanism.name, type(mechanism))
        self.spent[mechanism.name] += 1
        self._write()
        return Receipt(mechanism.name, self.spent[mechanism.name], mechanism.releases)

    def forfeit(self, name: str) -> None:
        """Gives up the remaining releases of a mechanism, which then answers no more queries.

        The budget was calibrated with these releases, and they are not refunded: the whole plan bounds what was
        released, whatever the decision to stop depends on. The file records the forfeit at the next release, or once
        the plan is complete: an attempt that continues may not have restored all receipts yet.

        Raises:
            PrivacyError: the mechanism is not in the plan, or has no release left.
        """
        mechanism = self.require(name, type(self.plan[name]))
        self.forfeited[name] = mechanism.releases - self.spent[name]

    def is_spent(self, mechanism: Mechanism) -> bool:
        """Whether every planned release of a mechanism was made or forfeited."""
        return self.spent[mechanism.name] + self.forfeited.get(mechanism.name, 0) >= mechanism.releases

    def restore(self, mechanism: Mechanism, releases: int) -> None:
        """Restores the first `releases` receipts of a mechanism from an interrupted attempt at the same run.

        Only for stored results of exactly these releases, which are used in place of new ones. The interrupted
        attempt's file may count more, because a receipt is written before its release is returned. Releases after the
        last stored state are repeated with the same samples and noise (see `noise_key`): they are the same releases, at
        no further cost. The file is not changed until the next new release or mark. From then on, it may count fewer
        releases than the interrupted attempt made, until they are repeated.

        Raises:
            PrivacyError: more releases than planned, or fewer than already made: going back would make a release twice
                that is planned once.
        """
        if releases < self.spent[mechanism.name]:
            raise PrivacyError(
                f"'{mechanism.name}' cannot go back to its release {releases}: "
                f"{self.spent[mechanism.name]} have been made"
            )
        if releases > mechanism.releases:
            raise PrivacyError(
                f"{releases} stored releases of '{mechanism.name}', where {mechanism.releases} are planned"
            )
        self.spent[mechanism.name] = releases

    def mark_unverified(self, reason: str) -> None:
        """Notes that records were read outside the mechanisms; the mark cannot be removed."""
        self.unverified.append(reason)
        self._write()

    @property
    def accounting(self) -> Literal["verified", "unverified"]:
        """ "verified", or "unverified" once records were read outside the mechanisms."""
        return "unverified" if self.unverified else "verified"

    def check_complete(self) -> None:
        """Compares the receipts with the plan, and writes down what was forfeited.

        Raises:
            PrivacyError: a mechanism was used less often than planned, so its noise does not fit the budget, and its
                remaining releases were not forfeited.
        """
        for m in self.plan.mechanisms:
            if not self.is_spent(m):
                raise PrivacyError(
                    f"the plan says {m.releases} releases of '{m.name}', the receipts say {self.spent[m.name]}; "
                    f"fit must use up its plan exactly, or give up the rest by private.forfeit('{m.name}')"
                )
        if self.forfeited:
            self._write()

    def epsilon_spent(self) -> float:
        """ε of the releases so far, for display: PLD on a rough grid, long mechanisms in steps of 1/20, rounded up."""
        counts = tuple(
            min(m.releases, -(-self.spent[m.name] // step) * step)
            for m in self.plan.mechanisms
            for step in [max(1, m.releases // CURVE_POINTS)]
        )
        if counts not in self._curve:
            done = [event for m, c in zip(self.plan.mechanisms, counts, strict=True) for event in m.events(c)]
            self._curve[counts] = epsilon_pld(done, self.plan.budget.delta, near=self.plan.epsilon)
        return self._curve[counts]

    def progress(self) -> str:
        """The part of the budget spent so far, for display: "ε 0.83 of 1"; "ε ∞" without noise."""
        budget = self.plan.budget.epsilon
        spent = min(self.epsilon_spent(), budget)  # on the rough grid, the last releases may cost more than the plan
        return f"ε {spent:.2f} of {budget:g}" if math.isfinite(budget) else "ε ∞"

    def as_dict(self) -> dict[str, Any]:
        """The ledger as JSON: the budget, and the planned and spent releases of every mechanism."""
        return {
            "epsilon": self.plan.budget.epsilon,
            "delta": self.plan.budget.delta,
            "epsilon_planned": self.plan.epsilon,
            "accounting": self.accounting,
            "unverified": self.unverified,
            "mechanisms": [
                {
                    "name": m.name,
                    "kind": type(m).__name__,
                    "clip": m.clip,
                    "noise_multiplier": m.noise_multiplier,
                    "sampling_rate": m.sampling_rate,
                    "schedule": [asdict(segment) for segment in m.schedule],
                    "releases_planned": m.releases,
                    "releases_spent": self.spent[m.name],
                    "releases_forfeited": self.forfeited.get(m.name, 0),
                }
                for m in self.plan.mechanisms
            ],
        }

    def _write(self) -> None:
        if self.path is not None:
            write_json(self.path, self.as_dict())


def _earlier(path: Path) -> tuple[list[str], int]:
    """The marks of an interrupted attempt, and the number of releases that it may have made or forfeited."""
    try:
        stored = read_json(path)
        releases = sum(m["releases_spent"] + m.get("releases_forfeited", 0) for m in stored["mechanisms"])
        return list(stored["unverified"]), releases
    except (DpbenchError, KeyError, TypeError) as error:
        raise PrivacyError(
            f"{path} is damaged; run this trial alone with --force: it starts over, as another private run"
        ) from error
