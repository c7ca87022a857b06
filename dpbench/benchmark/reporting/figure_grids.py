"""The samples of chosen rows for a sheet, and the real images beside them.

For a dataset that is not declared public, there are no real images, and no samples that the guarantee does not cover
(rule R9).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from dpbench.core.data import DataOptions, ImageDataset
from dpbench.core.errors import DataError, DpbenchError
from dpbench.data.opening import default_root, open_dataset
from dpbench.results.comparable import ORDER
from dpbench.results.figures.sample_figure import Grid
from dpbench.results.record import TrialRecord
from dpbench.results.rounding import privacy
from dpbench.results.row import read_protocol
from dpbench.results.trial_folder import TrialFolder


def grids_of(table: pd.DataFrame, real: bool, data: Path | None) -> list[Grid]:
    """The grids of a table's lines, for the first seed of each. Lines without samples are left out, with a warning.

    Args:
        table: lines of one table, with their `series` and `trials`; see `results.comparable`.
        real: whether real images come first.
        data: folder of datasets; the default one if None.

    Raises:
        DpbenchError: no samples may be shown, or the real images cannot be opened.
    """
    made = table[table["reference"] != "real"]
    ordered = made.assign(order=made["reference"].map(ORDER)).sort_values(["order", "epsilon", "series"], kind="stable")
    grids = [grid for _, line in ordered.iterrows() for grid in _samples(line)]
    if not grids:
        raise DpbenchError("no row has samples that may be shown")
    if real:
        record = TrialFolder(Path(ordered.iloc[0]["trials"][0])).read_sampled()
        grids.insert(0, Grid("real images", open_test(record, reference_of(table), data)))
    return grids


def _samples(line: pd.Series[Any]) -> Iterator[Grid]:
    folder = TrialFolder(Path(line["trials"][0]))
    record = folder.read_sampled()
    if record.is_sensitive:
        return
    try:
        samples = folder.samples(record)
    except DpbenchError as error:
        warnings.warn(f"left out {folder.path}: {error}", stacklevel=3)
        return
    parts = [line["series"]]
    if record.epsilon is not None:
        parts.append(privacy(record.epsilon))
    yield Grid(", ".join(parts), samples)


def open_test(record: TrialRecord, expected: str, data: Path | None) -> ImageDataset:
    """The test split that rows were scored against.

    Args:
        record: the record of one of the rows.
        expected: the fingerprint of the test split; "" if it is not known.
        data: folder of datasets; the default one if None.

    Raises:
        DpbenchError: the dataset is not declared public, its files are missing, or it has other images.
    """
    if not record.public_benchmark:
        raise DataError(f"{record.dataset} is not declared public, so no real image is shown")
    options = DataOptions(data or default_root(), record.resolution, public_benchmark=True)
    test = open_dataset(record.dataset, options).test()
    if expected and test.fingerprint != expected:
        raise DataError(f"the test images of {record.dataset} are not those that the rows were scored against")
    return test


def reference_of(table: pd.DataFrame) -> str:
    """The fingerprint of the test split that a table was scored against; "" if none is known."""
    found = (read_protocol(protocol).get("reference", "") for protocol in table["protocol"])
    return next(filter(None, found), "")
