"""The ledger: every release is checked against the plan and written down before it is handed out (rule R2)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from dpbench.core.errors import DpbenchError, PrivacyError
from dpbench.core.files import read_json, write_json
from dpbench.privacy.accounting import COARSEST_GRID, epsilon_pld
from dpbench.privacy.mechanisms import Mechanism
from dpbench.privacy.plan import CalibratedPlan

M = TypeVar("M", bound=Mechanism)

CURVE_POINTS = 20


@dataclass(frozen=True)
class Receipt:
    """One release: of which mechanism, the how-manieth, and of how many."""

    mechanism: str
    number: int
    planned: int


class Ledger:
    """Counts the releases of a calibrated plan.

    Args:
        plan: what may be spent.
        path: JSON file that is rewritten atomically at every release; None keeps the ledger in memory.
    """

    def __init__(self, plan: CalibratedPlan, path: Path | None = None):
        self.plan = plan
        self.path = path
        self.spent = {m.name: 0 for m in plan.mechanisms}
        self.unverified: list[str] = []
        self._curve: dict[tuple[int, ...], float] = {}

    @classmethod
    def at(cls, path: Path, plan: CalibratedPlan) -> Ledger:
        """A ledger that is written to `path` now, or that goes on where an interrupted attempt at the run wrote it.

        The receipts come back with the stored results (see `restore`), the marks for good.
        """
        ledger = cls(plan, path)
        if path.exists():
            ledger.unverified += _marks(path)
        else:
            ledger._write()
        return ledger

    def require(self, name: str, kind: type[M]) -> M:
        """The planned mechanism `name`, with at least one release left. Looks at no data.

        Raises:
            PrivacyError: it is not in the plan, is of another kind, or has been used up.
        """
        mechanism = self.plan[name]
        if not isinstance(mechanism, kind):
            raise PrivacyError(f"'{name}' is planned as {type(mechanism).__name__}, not as {kind.__name__}")
        if self.spent[name] >= mechanism.releases:
            raise PrivacyError(f"all {mechanism.releases} planned releases of '{name}' are spent")
        return mechanism

    def spend(self, mechanism: Mechanism) -> Receipt:
        """Writes down one release; to be called before anything is handed out."""
        self.require(mechanism.name, type(mechanism))
        self.spent[mechanism.name] += 1
        self._write()
        return Receipt(mechanism.name, self.spent[mechanism.name], mechanism.releases)

    def restore(self, mechanism: Mechanism, releases: int) -> None:
        """Takes over the first `releases` receipts of a mechanism from an interrupted attempt at the same run.

        To be called with stored results of exactly these releases, which are taken up in the place of new ones. The
        interrupted attempt's file may count more: a receipt is written before its release is handed out. What came
        after the last stored state is done again with the same samples and noise (see `noise_key`): the same releases,
        which cost nothing more. The file is left as it is until the next fresh release, so that it never says less than
        what is stored.

        Raises:
            PrivacyError: more than is planned, or fewer than there are already: going back would release twice what is
                planned once.
        """
        if releases < self.spent[mechanism.name]:
            raise PrivacyError(
                f"'{mechanism.name}' cannot go back to its release {releases}: {self.spent[mechanism.name]} are made"
            )
        if releases > mechanism.releases:
            raise PrivacyError(
                f"{releases} stored releases of '{mechanism.name}', where {mechanism.releases} are planned"
            )
        self.spent[mechanism.name] = releases

    def mark_unverified(self, reason: str) -> None:
        """Notes that records were touched outside the mechanisms; the mark cannot be taken back."""
        self.unverified.append(reason)
        self._write()

    @property
    def accounting(self) -> Literal["verified", "unverified"]:
        """ "verified", or "unverified" once records were touched outside the mechanisms."""
        return "unverified" if self.unverified else "verified"

    def check_complete(self) -> None:
        """Compares the receipts with the plan.

        Raises:
            PrivacyError: a mechanism was used less often than planned, so that its noise was not what the budget buys.
        """
        for m in self.plan.mechanisms:
            if self.spent[m.name] != m.releases:
                raise PrivacyError(
                    f"the plan says {m.releases} releases of '{m.name}', the receipts say {self.spent[m.name]}; "
                    "fit must use its plan up exactly"
                )

    def epsilon_spent(self) -> float:
        """ε of the releases so far, to be shown: PLD on a coarse grid, long mechanisms in steps of 1/20, rounded up."""
        counts = tuple(
            min(m.releases, -(-self.spent[m.name] // step) * step)
            for m in self.plan.mechanisms
            for step in [max(1, m.releases // CURVE_POINTS)]
        )
        if counts not in self._curve:
            done = [m.event(c) for m, c in zip(self.plan.mechanisms, counts, strict=True) if c]
            self._curve[counts] = epsilon_pld(done, self.plan.budget.delta, COARSEST_GRID)
        return self._curve[counts]

    def as_dict(self) -> dict[str, Any]:
        """The ledger as JSON: the budget, and every mechanism with what was planned and what was spent."""
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
                    "releases_planned": m.releases,
                    "releases_spent": self.spent[m.name],
                }
                for m in self.plan.mechanisms
            ],
        }

    def _write(self) -> None:
        if self.path is not None:
            write_json(self.path, self.as_dict())


def _marks(path: Path) -> list[str]:
    try:
        return list(read_json(path)["unverified"])
    except (DpbenchError, KeyError, TypeError) as error:
        raise PrivacyError(f"{path} is damaged; run with --force to start the trial anew, as another run") from error
