"""A plan: every mechanism that a method will use, declared before anything runs (rule R2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Budget
from dpbench.privacy.accounting.events import Event
from dpbench.privacy.mechanisms.mechanism import Mechanism


@dataclass(frozen=True, init=False)
class Plan:
    """Mechanisms with unique names, in any order. `Plan()` releases nothing."""

    mechanisms: tuple[Mechanism, ...]

    def __init__(self, *mechanisms: Mechanism):
        names = [m.name for m in mechanisms]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise PrivacyError(f"the plan names {', '.join(sorted(repeated))} more than once")
        object.__setattr__(self, "mechanisms", mechanisms)

    def with_scale(self, scale: float) -> Plan:
        """The plan with every free noise multiplier set to `ratio · scale`."""
        return Plan(
            *(
                m if m.noise_multiplier is not None else replace(m, noise_multiplier=m.ratio * scale)
                for m in self.mechanisms
            )
        )

    def having(self, mechanism: Mechanism) -> Plan:
        """The plan with `mechanism` in place of the mechanism with the same name."""
        return Plan(*(mechanism if m.name == mechanism.name else m for m in self.mechanisms))

    def without_noise(self) -> Plan:
        """The plan with every noise multiplier zero: the non-private reference."""
        return Plan(*(replace(m, noise_multiplier=0.0) for m in self.mechanisms))

    def events(self) -> list[Event]:
        """The accounting events of the whole plan; see `Mechanism.events`."""
        return [event for m in self.mechanisms for event in m.events()]

    @property
    def fixed(self) -> Plan:
        """The mechanisms whose noise is fixed."""
        return Plan(*(m for m in self.mechanisms if m.noise_multiplier is not None))

    @property
    def is_calibrated(self) -> bool:
        """Whether every noise multiplier is set."""
        return all(m.noise_multiplier is not None for m in self.mechanisms)


@dataclass(frozen=True)
class CalibratedPlan:
    """A plan whose noise is set, with its cost.

    Attributes:
        mechanisms: all with a noise multiplier.
        budget: the requested one.
        epsilon: ε of the whole composition at the budget's δ, by PLD.
        epsilon_rdp: the same by Rényi accounting, for comparison with papers that use it. A loose bound if there are
            sampled releases with non-Gaussian noise, which are counted as releases over all records, or releases from
            shards drawn in secret.
        mu: μ of the whole composition by Gaussian differential privacy, which does not depend on δ; see `gdp`.
        epsilon_at_second_delta: ε at `accounting.SECOND_DELTA`, by PLD.
    """

    mechanisms: tuple[Mechanism, ...]
    budget: Budget
    epsilon: float
    epsilon_rdp: float
    mu: float
    epsilon_at_second_delta: float

    def __getitem__(self, name: str) -> Mechanism:
        for mechanism in self.mechanisms:
            if mechanism.name == name:
                return mechanism
        raise PrivacyError(f"the plan has no mechanism '{name}'; it names {_listing(self.mechanisms)}")


def _listing(mechanisms: Iterable[Mechanism]) -> str:
    return ", ".join(m.name for m in mechanisms) or "none"
