"""The calibrated plan of a configured method: what it would spend on a dataset, without training it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dpbench.benchmark.configure import DEFAULT_PRESET, configure, plan_of, refuse_auto
from dpbench.benchmark.places import data_folder
from dpbench.benchmark.sweep import Sweep
from dpbench.core.data import DataOptions
from dpbench.core.specs import Budget, DatasetSpec
from dpbench.data.opening import open_dataset
from dpbench.privacy.calibration import calibrate, priced
from dpbench.privacy.plan import CalibratedPlan


@dataclass(frozen=True)
class MethodPlan:
    """The plan of one configured method on one dataset.

    Attributes:
        title: the method and the settings that differ from its preset.
        spec: what the dataset declares.
        plan: its mechanisms, with all noise multipliers known.
    """

    title: str
    spec: DatasetSpec
    plan: CalibratedPlan


def method_plan(
    variant: str,
    dataset: str,
    epsilon: float | None,
    *,
    noise: float | None = None,
    delta: float | None = None,
    preset: str = DEFAULT_PRESET,
    settings: Mapping[str, Any] | None = None,
    samples: int = 10_000,
    resolution: int | None = None,
) -> MethodPlan:
    """What a method would spend on a dataset. Trains nothing and reads no images.

    Args:
        variant: the method's name, with settings of its own in brackets where wanted: "dp-sgd[steps=50]".
        dataset: the dataset's name.
        epsilon: the budget that free noise multipliers are calibrated for; None where `noise` is given.
        noise: the scale that the free noise multipliers share, in place of a budget.
        delta: δ; by default 1 / (n ln n).
        preset: name of a preset of the method.
        settings: key -> value, over the preset.
        samples: number of images that the method is to generate.
        resolution: height and width of the images, where the dataset offers several.

    Raises:
        DpbenchError: the method, dataset, settings or budget do not go together.
    """
    (chosen,) = configure([variant], dataset, preset, settings or {})
    refuse_auto(chosen)
    sweep = Sweep((1.0 if epsilon is None else epsilon,), 1, samples, delta=delta)
    spec = open_dataset(dataset, DataOptions(data_folder(None), resolution)).spec
    delta = sweep.delta_for(spec)
    plan = plan_of(chosen.method, chosen.config, spec, sweep.request(spec))
    if epsilon is not None:
        return MethodPlan(chosen.title, spec, calibrate(plan, Budget(epsilon, delta)))
    assert noise is not None
    return MethodPlan(chosen.title, spec, priced(plan.with_scale(noise), delta))
