"""The calibrated plan of a configured method: its privacy cost on a dataset, without training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dpbench.benchmark.configure import configure, plan_of, refuse_auto
from dpbench.benchmark.request import RunRequest
from dpbench.core.specs import Budget, DatasetSpec
from dpbench.data.opening import open_dataset
from dpbench.privacy.calibration import calibrate, priced
from dpbench.privacy.plan import CalibratedPlan, Plan


@dataclass(frozen=True)
class MethodPlan:
    """The plan of one configured method on one dataset.

    Attributes:
        title: the method and the settings that differ from its preset.
        spec: the dataset's declaration.
        plan: the plan's mechanisms, with all noise multipliers known.
    """

    title: str
    spec: DatasetSpec
    plan: CalibratedPlan

    def as_json(self) -> dict[str, Any]:
        """Every mechanism, segment by segment, and the cost of the whole plan, as JSON-like values."""
        plan = self.plan
        return {
            "method": self.title,
            "dataset": self.spec.name,
            "epsilon": plan.budget.epsilon,
            "delta": plan.budget.delta,
            "epsilon_spent": plan.epsilon,
            "epsilon_rdp": plan.epsilon_rdp,
            "mu": plan.mu,
            "mechanisms": [
                {
                    "name": m.name,
                    "kind": type(m).__name__,
                    "clip": m.clip,
                    "sampling_rate": m.sampling_rate * s.rate,
                    "releases": s.releases,
                    "noise_multiplier": (m.noise_multiplier or 0.0) * s.noise,
                }
                for m in plan.mechanisms
                for s in m.segments
            ],
        }


def method_plan(request: RunRequest, epsilon: float) -> MethodPlan:
    """The plan of a method for a dataset, calibrated for ε. Trains nothing and reads no images.

    Args:
        request: one method, its settings and the dataset.
        epsilon: the budget.

    Raises:
        DpbenchError: the method, dataset, settings or budget do not fit together.
    """
    title, spec, plan, delta = _free_plan(request)
    return MethodPlan(title, spec, calibrate(plan, Budget(epsilon, delta)))


def priced_plan(request: RunRequest, noise: float) -> MethodPlan:
    """The plan of a method, priced at a given scale of its free noise multipliers.

    Args:
        request: as for `method_plan`.
        noise: the scale.

    Raises:
        As `method_plan`.
    """
    title, spec, plan, delta = _free_plan(request)
    return MethodPlan(title, spec, priced(plan.with_scale(noise), delta))


def _free_plan(request: RunRequest) -> tuple[str, DatasetSpec, Plan, float]:
    """The method's title, the dataset's declaration, the plan before calibration, and δ."""
    (method,) = configure(request.methods, request.dataset, request.preset, request.settings, request.public)
    refuse_auto(method)
    spec = open_dataset(request.dataset, request.data_options).spec
    plan = plan_of(method.method, method.config, spec, request.samples_of(spec))
    return method.title, spec, plan, request.delta_for(spec)
