from __future__ import annotations

import re
from collections import Counter

import pytest

from dpbench.core.registries import METRICS
from dpbench.results.row import FIELDS


def test_every_column_of_a_row_has_a_name_of_its_own() -> None:
    columns = [column.name for name in METRICS.names() for column in METRICS.get(name).columns]
    counts = Counter([*columns, *(field.name for field in FIELDS)])
    assert [name for name, count in counts.items() if count > 1] == []


def test_what_looks_at_train_says_so() -> None:
    assert {name for name in METRICS.names() if METRICS.get(name).reads_train} >= {
        "fid-train",
        "classifier-prdc",
        "fld",
    }


@pytest.mark.parametrize("name", METRICS.names())
def test_every_metric_has_a_version(name: str) -> None:
    assert re.match(r"v[1-9]\d*(, |$)", METRICS.get(name).protocol)
