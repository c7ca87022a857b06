"""The files of datasets and of pretrained weights: those on this machine, and how to get the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dpbench.benchmark.doctor.machine_check import Check
from dpbench.benchmark.request import RunRequest
from dpbench.core.counted import sized
from dpbench.core.errors import DpbenchError, NotInstalled
from dpbench.core.registries import DATASETS
from dpbench.data.declared import NamedDataset
from dpbench.data.opening import open_dataset
from dpbench.data.synthetic.rendering import RenderedDataset
from dpbench.models.pretrained.finding import locate
from dpbench.models.pretrained.published import WEIGHTS


def dataset_folders(request: RunRequest) -> Iterator[Check]:
    """Whether each built-in dataset has files in the data folder. They are not read."""
    for name in filter(DATASETS.is_builtin, DATASETS.names()):
        plugin: Any = DATASETS.get(name)
        if issubclass(plugin, NamedDataset):
            yield _dataset_folder(name, plugin("", request.data_options))


def _dataset_folder(name: str, dataset: NamedDataset) -> Check:
    if dataset.folder.is_dir() and any(dataset.folder.iterdir()):
        return Check("datasets", name, "ok", f"files in {dataset.folder}")
    if isinstance(dataset, RenderedDataset):
        return Check("datasets", name, "ok", "generated on first use")
    advice = f"`dpbench doctor --dataset {name}` says which files belong there"
    return Check("datasets", name, "absent", f"nothing in {dataset.folder}", advice)


def opened_datasets(request: RunRequest, names: Sequence[str]) -> Iterator[Check]:
    """Opens both splits of datasets. Their images are not decoded."""
    for name in names:
        try:
            dataset = open_dataset(name, request.data_options)
            found = f"{len(dataset.train()):,} train and {len(dataset.test()):,} test images"
            yield Check("datasets", f"{name}, opened", "ok", found)
        except DpbenchError as error:
            yield Check("datasets", f"{name}, opened", "problem", "cannot be opened", str(error))


def weights() -> Iterator[Check]:
    """Whether pretrained weights are present and intact; computes their hashes."""
    for name, published in WEIGHTS.items():
        try:
            path, *_ = locate(name).values()
            yield Check("weights", name, "ok", str(path))
        except NotInstalled:
            yield Check(
                "weights", name, "absent", published.unlocks, f"`dpbench weights get {name}` ({sized(published.size)})"
            )
        except DpbenchError as error:
            yield Check("weights", name, "problem", "damaged", str(error))
