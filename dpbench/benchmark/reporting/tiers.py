"""The number of private gradients that a method computes with each preset, and its share of the published number.

A gradient is that of one record and view: the number is records × views × steps, in expectation. The published number
is that of the preset "paper".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from dpbench.benchmark.configure import configure, plan_of, refined
from dpbench.core.errors import DpbenchError
from dpbench.core.registries import METHODS
from dpbench.core.specs import Conditions, DatasetSpec, Request
from dpbench.privacy.plan import Plan

PUBLISHED = "paper"
"""The preset with the published constants."""

ANY = Request(Conditions(1))
"""Any request will do: the samples make no difference here."""


@dataclass(frozen=True)
class Tier:
    """A method with one of its presets on a dataset.

    Attributes:
        preset: the preset's name, or the name of its refinement for the dataset: "small/mnist".
        plan: its mechanisms; none if the preset does not fit.
        gradients: expected number of private gradients.
        published: the number for the preset "paper"; 0 if there is none, or if it does not fit.
        misfit: why the preset does not fit the dataset.
    """

    preset: str
    plan: Plan
    gradients: float = 0.0
    published: float = 0.0
    misfit: str = ""

    def __str__(self) -> str:
        if self.misfit:
            return f"does not fit: {self.misfit}"
        if not self.gradients:
            return f"{_releases(self.plan)}; no private gradients"
        taken = f"{millions(self.gradients)} million"
        if not self.published or self.preset == PUBLISHED:
            return taken
        return f"{taken}, {percent(self.share)} of {millions(self.published)} million"

    @property
    def share(self) -> float:
        """Private gradients relative to the published ones, which must be known."""
        return self.gradients / self.published


def tiers(name: str, dataset: str, spec: DatasetSpec) -> list[Tier]:
    """A method with each of its presets on a dataset.

    Args:
        name: the method's registered name.
        dataset: name of the dataset, for which a preset may have a refinement.
        spec: the dataset's declaration.
    """
    found = [_tier(name, preset, dataset, spec) for preset in METHODS.get(name).presets if "/" not in preset]
    published = sum(tier.gradients for tier in found if tier.preset.partition("/")[0] == PUBLISHED)
    return [replace(tier, published=published) for tier in found]


def _tier(name: str, preset: str, dataset: str, spec: DatasetSpec) -> Tier:
    (configured,) = configure((name,), dataset, preset, {})
    finer = refined(configured.method, preset, dataset)
    title = finer if finer in configured.method.presets else preset
    try:
        plan = plan_of(configured.method, configured.config, spec, ANY)
    except DpbenchError as error:
        return Tier(title, Plan(), misfit=str(error))
    return Tier(title, plan, private_gradients(plan, configured.config))


def private_gradients(plan: Plan, config: Any) -> float:
    """Expected number of gradients of single records and views under a plan and its settings."""
    views = getattr(config, "views", 1)  # a setting of all methods that train by DP-SGD
    return sum(m.gradients for m in plan.mechanisms) * views


def _releases(plan: Plan) -> str:
    """The number of releases of a plan without private gradients, and the records that they use."""
    count = sum(m.releases for m in plan.mechanisms)
    records = "samples of the records" if any(m.is_sampled for m in plan.mechanisms) else "all records"
    return f"{'one release' if count == 1 else f'{count:,} releases'} over {records}" if count else "no private release"


def millions(number: float) -> str:
    """240,000 -> "0.24"; 576,061,440 -> "576"."""
    return f"{number / 1e6:.3g}"


def percent(share: float) -> str:
    """0.00123 -> "0.12%"; 0.3 -> "30%"."""
    return f"{100 * share:.2g}%" if share < 1 else f"{100 * share:.0f}%"
