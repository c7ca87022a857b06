"""Where the budget of a finished trial went: a stored ledger, priced mechanism by mechanism."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dpbench.privacy.accounting.composition import epsilon_pld
from dpbench.privacy.accounting.events import Event
from dpbench.privacy.accounting.shares import shares
from dpbench.privacy.mechanisms import choices, laplace, nearest_mean, sanitised  # noqa: F401 (they declare mechanisms)
from dpbench.privacy.mechanisms.mechanism import Mechanism
from dpbench.results.stored_ledger import StoredLedger, StoredMechanism, segments_of


class Cost(NamedTuple):
    """The privacy cost of one mechanism.

    Attributes:
        share: its share of the total privacy loss, in [0, 1]; None if any mechanism is of an unknown kind.
        alone: ε of this mechanism alone at the ledger's δ; None likewise.
    """

    share: float | None
    alone: float | None


def spent_by_mechanism(ledger: StoredLedger) -> list[Cost]:
    """The cost of each mechanism of a ledger, by the releases that were made."""
    known = {kind.__name__: kind for kind in _kinds(Mechanism.__subclasses__())}
    if any(mechanism.kind not in known for mechanism in ledger.mechanisms):
        return [Cost(None, None) for _ in ledger.mechanisms]
    events = [_events(mechanism, known[mechanism.kind].event) for mechanism in ledger.mechanisms]
    near = 1.0 if ledger.epsilon_planned == "inf" else max(1e-3, float(ledger.epsilon_planned))
    alone = [epsilon_pld(each, ledger.delta, near=near) for each in events]
    return [Cost(*pair) for pair in zip(shares(events, ledger.delta), alone, strict=True)]


def _events(mechanism: StoredMechanism, event: type[Event]) -> list[Event]:
    return [event(s["noise"], s["rate"], s["releases"]) for s in segments_of(mechanism)]


def _kinds(kinds: Iterable[type[Mechanism]]) -> Iterator[type[Mechanism]]:
    for kind in kinds:
        yield kind
        yield from _kinds(kind.__subclasses__())
