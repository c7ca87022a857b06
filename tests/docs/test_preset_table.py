"""docs/preset_table.py: README and docs say how much of the published training each preset is."""

from __future__ import annotations

from types import ModuleType

import pytest
from docs_scripts import docs_script


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return docs_script("preset_table")


def test_the_pages_are_those_of_the_presets(script: ModuleType) -> None:
    for path, page in script.pages().items():
        assert script.PART.begin in page
        assert path.read_text(encoding="utf-8") == page, "run python docs/preset_table.py"


def test_only_what_is_between_the_markers_changes(script: ModuleType) -> None:
    page = f"before\n{script.PART.begin}old\n{script.PART.end}after\n"
    assert script.PART.put(page, "new\n") == page.replace("old", "new")


def test_the_table_has_the_shares_of_the_published_gradients(script: ModuleType) -> None:
    lines = script.table().splitlines()
    assert lines[0] == "| private gradients, in millions | `small` | `gpu` | `paper` |"
    (dpdm,) = (line for line in lines if line.startswith("| `dpdm` |"))
    assert dpdm.endswith(" | 576 |")  # 4,395 steps of 4,096 records and 32 views
    assert dpdm.count("%)") == 2
    assert "| `dp-merf` | none | none | none |" in lines
