"""Metrics that take hours or days: announced or refused before anything runs."""

from __future__ import annotations

from collections.abc import Sequence

from dpbench.benchmark.timetable import rough
from dpbench.core.errors import DpbenchError
from dpbench.core.metric import TOO_LONG
from dpbench.core.registries import METRICS
from dpbench.core.specs import DatasetSpec

HOUR = 3600.0


def slow_metrics(metrics: Sequence[str], spec: DatasetSpec, images: int, device: str) -> dict[str, float]:
    """Name -> expected seconds per row, for the metrics that take more than an hour.

    Args:
        metrics: names of metrics.
        spec: the dataset's declaration.
        images: the number of images of a row.
        device: the device that computes them.
    """
    seconds = {name: METRICS.get(name).expected_seconds(spec, images, device) for name in metrics}
    return {name: expected for name, expected in seconds.items() if expected > HOUR}


def announcement(metric: str, seconds: float, device: str) -> str:
    """The announcement of a slow metric, before it is computed.

    Raises:
        DpbenchError: it would take longer than `TOO_LONG`.
    """
    if seconds > TOO_LONG:
        raise DpbenchError(
            f"metric '{metric}' would take about {seconds / TOO_LONG:.0f} days per row on {device}; "
            "use a GPU (--device cuda), or leave it out of --metrics"
        )
    return f"metric '{metric}' takes about {rough(seconds)} per row on {device}"
