"""Equal private compute: every candidate computes as many private gradients as the first one."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dpbench.benchmark.configure import configure, plan_of
from dpbench.benchmark.reporting.tiers import ANY, private_gradients
from dpbench.core.errors import ConfigError, DpbenchError
from dpbench.core.specs import DatasetSpec
from experiments._candidates import Candidate


def with_equal_compute(methods: Sequence[str], dataset: str, spec: DatasetSpec, preset: str) -> list[Candidate]:
    """Every method with the number of steps that gives the private gradients (records × views × steps) of the first.

    A method without private gradients stays as it is. A method that does not suit the dataset is left out; a message
    says so.

    Raises:
        DpbenchError: a method or a setting does not exist, or no method is left.
    """
    found: list[Candidate] = []
    wanted = 0.0
    for method in methods:
        plain = Candidate(method, method)
        try:
            own = gradients_of(plain, dataset, spec, preset)
        except ConfigError as error:
            print(f"{method} is left out: {error}", file=sys.stderr)
            continue
        wanted = wanted or own
        found.append(_scaled(plain, dataset, preset, wanted / own) if own else plain)
    if not found:
        raise DpbenchError(f"none of the methods suits {spec.name}")
    return found


def gradients_of(candidate: Candidate, dataset: str, spec: DatasetSpec, preset: str) -> float:
    """The expected number of private gradients of a candidate.

    Raises:
        ConfigError: the candidate does not suit the dataset.
        DpbenchError: the candidate does not exist.
    """
    (configured,) = configure([candidate.variant], dataset, preset, {})
    return private_gradients(plan_of(configured.method, configured.config, spec, ANY), configured.config)


def _scaled(plain: Candidate, dataset: str, preset: str, factor: float) -> Candidate:
    """The candidate with a multiple of the private steps of its preset."""
    (configured,) = configure([plain.variant], dataset, preset, {})
    return Candidate(plain.name, plain.method, {"steps": max(1, round(factor * configured.config.steps))})
