"""Everything that `dpbench doctor` looks at, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dpbench.benchmark.doctor.hardware import devices, memory
from dpbench.benchmark.doctor.machine_check import Check
from dpbench.benchmark.doctor.packages import optional_packages, required_packages
from dpbench.benchmark.doctor.places import folders
from dpbench.benchmark.doctor.stores import dataset_folders, opened_datasets, weights
from dpbench.benchmark.request import RunRequest


def examine(request: RunRequest, datasets: Sequence[str] = ()) -> Iterator[Check]:
    """Looks at everything that a run needs. Writes nothing, but generated datasets are made when they are opened.

    Args:
        request: its folders of data and results are looked at.
        datasets: names of datasets that are opened, too; of the others, only the folder is looked at.
    """
    yield from required_packages()
    yield from optional_packages()
    yield from devices()
    yield memory()
    yield from folders(request)
    yield from dataset_folders(request)
    yield from opened_datasets(request, datasets)
    yield from weights()
