"""All checks of `dpbench doctor`, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dpbench.benchmark.doctor.hardware import devices, memory
from dpbench.benchmark.doctor.machine_check import Check
from dpbench.benchmark.doctor.packages import optional_packages, required_packages
from dpbench.benchmark.doctor.places import folders
from dpbench.benchmark.doctor.stores import dataset_folders, opened_datasets, weights
from dpbench.benchmark.request import RunRequest


def examine(request: RunRequest, datasets: Sequence[str] = ()) -> Iterator[Check]:
    """Checks everything that a run needs. Writes nothing, except that opening a generated dataset makes it.

    Args:
        request: its folders of data and results are checked.
        datasets: names of datasets to open as well; for the others, only the folder is checked.
    """
    yield from required_packages()
    yield from optional_packages()
    yield from devices()
    yield memory()
    yield from folders(request)
    yield from dataset_folders(request)
    yield from opened_datasets(request, datasets)
    yield from weights()
