"""The trials of one command: methods × budgets × seeds, and the reference rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dpbench.benchmark.configure import Configured
from dpbench.benchmark.trial import REFERENCES, Reference, Source, Trial
from dpbench.core.errors import DpbenchError, UnknownName
from dpbench.core.specs import Budget, Conditions, DatasetSpec, Request, default_delta


def parse_epsilons(text: str) -> list[float]:
    """ "1,5,inf" -> [1.0, 5.0, inf].

    Raises:
        DpbenchError: an item is no positive number.
    """
    return [check_epsilon(item) for item in text.split(",")]


def check_epsilon(value: str | float) -> float:
    """A positive ε, possibly infinite.

    Raises:
        DpbenchError: it is no number, or not positive.
    """
    try:
        epsilon = float(value)
    except ValueError:
        raise DpbenchError(f"ε must be a positive number or inf, not '{str(value).strip()}'") from None
    if epsilon == 0:
        raise DpbenchError("ε = 0 is the public reference alone; ask for it with --references public")
    if not epsilon > 0:
        raise DpbenchError(f"ε must be a positive number or inf, not {epsilon:g}")
    return epsilon


@dataclass(frozen=True)
class Sweep:
    """How many trials of which kind a command asks for, checked.

    Raises:
        DpbenchError: a number is out of its range, or a reference does not exist.
    """

    epsilons: tuple[float, ...]
    seeds: int
    samples: int
    references: tuple[str, ...] = ()
    delta: float | None = None
    noise_seed: int | None = None

    def __post_init__(self) -> None:
        for epsilon in self.epsilons:
            check_epsilon(epsilon)
        if not self.epsilons and not self.references:
            raise DpbenchError("nothing to run: name an ε or a reference")
        for what, value in {"seeds": self.seeds, "samples": self.samples}.items():
            if value < 1:
                raise DpbenchError(f"the number of {what} must be at least 1, not {value}")
        for name in self.references:
            if name not in REFERENCES:
                raise UnknownName("reference", name, REFERENCES)
        if self.delta is not None:
            Budget(1, self.delta)

    def budgets(self) -> list[tuple[float, Reference]]:
        """(ε, reference) of a method's rows, cheapest first; ε = inf is the non-private reference."""
        wanted: dict[float, Reference] = {0.0: "public"} if "public" in self.references else {}
        wanted |= {float(e): "" if math.isfinite(e) else "nonprivate" for e in self.epsilons}
        if "nonprivate" in self.references:
            wanted[math.inf] = "nonprivate"
        return list(wanted.items())

    def delta_for(self, spec: DatasetSpec) -> float:
        """δ as asked for, or the default."""
        return default_delta(spec.n_train) if self.delta is None else self.delta

    def request(self, spec: DatasetSpec) -> Request:
        """Equally many samples of each class."""
        return Request(Conditions.balanced(self.samples, spec.n_classes))


def make_trials(
    methods: Sequence[Configured],
    sweep: Sweep,
    spec: DatasetSpec,
    fingerprint: str,
    public: Source | None,
    planned: Callable[[Configured, float], Configured] = lambda method, epsilon: method,
) -> Iterator[Trial]:
    """All trials, in the order in which they run: `real` last, so that test opens after sampling.

    Args:
        methods: configured methods.
        fingerprint: of the sensitive train split.
        public: the public source for methods that use one.
        planned: the method as it is to be run at an ε.
    """
    delta = sweep.delta_for(spec)
    request = sweep.request(spec)
    for method in methods:
        source = public if uses_public(method) else None
        for epsilon, reference in sweep.budgets():
            if reference == "public" and not uses_public(method):
                continue  # nothing is left of the method without private data
            m = planned(method, epsilon)
            for seed in range(sweep.seeds):
                yield Trial(
                    m.name,
                    m.method.version,
                    m.method.track,
                    m.config,
                    spec,
                    fingerprint,
                    source,
                    request,
                    epsilon,
                    delta,
                    seed,
                    reference,
                    m.preset,
                    m.tuning,
                    m.variant,
                    sweep.noise_seed,
                )
    if "real" in sweep.references:
        yield Trial.real(spec, fingerprint, request, delta)


def uses_public(method: Configured) -> bool:
    """Whether it learns from public images."""
    return method.method.track != "none"
