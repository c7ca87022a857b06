"""docs/detail_tables.py: docs/experiments.md shows the numbers of results/reference/detail_stages.csv."""

from __future__ import annotations

from types import ModuleType

import pandas as pd
import pytest
from docs_scripts import docs_script


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return docs_script("detail_tables")


def test_the_page_shows_the_stored_rows(script: ModuleType) -> None:
    assert script.PAGE.read_text(encoding="utf-8") == script.page(), "run python docs/detail_tables.py"


def test_a_line_has_each_score_for_real_coarse_images_and_then_from_the_largest_budget(script: ModuleType) -> None:
    costs = {"seconds_per_image": 0.00123, "n_samples": 3000}
    name = "residual[consistency=project]"
    rows = pd.DataFrame(
        [
            {
                "coarse": "ε = 1",
                "refiner": name,
                "fwd": 0.3,
                "seconds_prepare": 0.1,
                **costs,
            },
            {"coarse": "ε = 10", "refiner": name, "seconds_prepare": 99.6, **costs},
            {"coarse": "real", "refiner": name, "fwd": 0.125, "seconds_prepare": 0, **costs},
            {"coarse": "real", "refiner": "bicubic", "seconds_prepare": 0.01, **costs},
        ]
    )
    heading, _, projected, bicubic = script.table(rows).splitlines()
    assert heading == "| detail stage | fwd | training, s | s per image | images |"
    assert projected == "| residual, projected | 0.12 / – / 0.30 | 100 | 0.0012 | 3,000 |"
    assert bicubic == "| bicubic |  |  | 0.0012 | 3,000 |"
