"""Minutes of the private phase of the `gpu` presets, extrapolated from a few steps; the presets promise at most ten.

The public part is shortened, which does not change the cost of a private step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from dpbench.core.config import build
from dpbench.core.registries import METHODS
from perf._gpu_checks import Check, Setting, Value, at_most
from perf._gpu_trial import TINY, row_of

PROMISED = 10.0
"""Minutes of the private phase; see docs/methods.md."""

FEW, TINY_FEW = 20, 2
"""Number of timed private steps."""

SHORT: Mapping[str, Mapping[str, Any]] = {
    "wavelet": {"tokenizer_steps": 20, "public_steps": 20, "refiner.steps": 20},
    "dp-sgd": {"public_steps": 20},
    "dpdm": {},
}
"""Method -> settings of its public part."""


def checks(setting: Setting) -> Iterator[Check]:
    """One check per method."""
    for method in ("wavelet",) if setting.tiny else SHORT:
        columns = ("minutes", "private steps", "MiB")
        yield Check(f"{method}, preset gpu", columns, partial(_minutes, setting, method))


def _minutes(setting: Setting, method: str) -> Mapping[str, Value]:
    plugin = METHODS.get(method)
    steps = build(plugin.Config, plugin.presets["gpu"].settings).steps
    timed = TINY_FEW if setting.tiny else FEW
    short = TINY[method] if setting.tiny else SHORT[method]
    row = row_of(setting, method, {**short, "steps": timed}, preset="small" if setting.tiny else "gpu")
    minutes = float(row["seconds_fit"]) / timed * steps / 60
    return {
        "minutes": Value(minutes) if setting.tiny else at_most(minutes, PROMISED),
        "private steps": Value(steps, row["accounting"] == "verified"),
        "MiB": Value(float(row["peak_memory_mb"]), None, f"peak; computed in {row['computed_in']}"),
    }
