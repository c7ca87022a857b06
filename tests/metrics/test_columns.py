from __future__ import annotations

import re
from collections import Counter

import pytest

from dpbench.core.registries import METRICS
from dpbench.metrics.classifiers.versions import REAL_VERSION
from dpbench.results.row import FIELDS


def test_every_column_of_a_row_has_a_name_of_its_own() -> None:
    columns = [column.name for name in METRICS.names() for column in METRICS.get(name).columns]
    counts = Counter([*columns, *(field.name for field in FIELDS)])
    assert [name for name, count in counts.items() if count > 1] == []


def test_every_frechet_distance_is_ranked_by_its_limit() -> None:
    columns = [column for name in METRICS.names() for column in METRICS.get(name).columns]
    ranked = {column.name: column.ranked_by for column in columns if column.ranked_by}
    distances = ("fid", "fid_train", "fwd", "fd_coarse", "fd_detail2", "fd_detail1", "fd_classifier", "fd_dinov2")
    assert ranked == {name: f"{name}_inf" for name in distances}
    assert {column.name for column in columns} >= {*ranked.values()}


def test_what_looks_at_train_says_so() -> None:
    assert {name for name in METRICS.names() if METRICS.get(name).reads_train} >= {
        "fid-train",
        "classifier-prdc",
        "fld",
    }


@pytest.mark.parametrize("name", METRICS.names())
def test_every_metric_has_a_version(name: str) -> None:
    assert re.match(r"v[1-9]\d*(, |$)", METRICS.get(name).protocol)


@pytest.mark.parametrize("name", ["label-fidelity", "classifier-prdc"])
def test_another_classifier_of_real_images_is_another_protocol(name: str) -> None:
    assert METRICS.get(name).protocol.endswith(f", {REAL_VERSION}")
