"""Metrics that take hours or days: said, or refused, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dpbench.benchmark.timetable import rough
from dpbench.core.errors import DpbenchError
from dpbench.core.metric import TOO_LONG
from dpbench.core.registries import METRICS
from dpbench.core.specs import DatasetSpec

HOUR = 3600.0


def slow_metrics(metrics: Sequence[str], spec: DatasetSpec, images: int, device: str) -> Iterator[str]:
    """A line for each metric that will take more than an hour per row.

    Args:
        metrics: names of the metrics that are to be computed.
        spec: what the dataset declares.
        images: the number of images of a row.
        device: where they are computed.

    Raises:
        DpbenchError: a metric would take more than `TOO_LONG`.
    """
    for name in metrics:
        seconds = METRICS.get(name).expected_seconds(spec, images, device)
        if seconds > TOO_LONG:
            raise DpbenchError(
                f"metric '{name}' would take about {seconds / TOO_LONG:.0f} days per row on {device}; "
                "use a GPU (--device cuda), or leave it out of --metrics"
            )
        if seconds > HOUR:
            yield f"metric '{name}' takes about {rough(seconds)} per row on {device}"
