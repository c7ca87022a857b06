"""docs/preset_table.py: README and docs say how much of the published training each preset is."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_preset_table", ROOT / "docs/preset_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_those_of_the_presets(script: ModuleType) -> None:
    for path, page in script.pages().items():
        assert script.BEGIN in page
        assert path.read_text(encoding="utf-8") == page, "run python docs/preset_table.py"


def test_only_what_is_between_the_markers_changes(script: ModuleType) -> None:
    page = f"before\n{script.BEGIN}old\n{script.END}after\n"
    assert script.with_part(page, "new\n") == page.replace("old", "new")


def test_the_table_has_the_shares_of_the_published_gradients(script: ModuleType) -> None:
    lines = script.table().splitlines()
    assert lines[0] == "| private gradients, in millions | `small` | `gpu` | `paper` |"
    (dpdm,) = (line for line in lines if line.startswith("| `dpdm` |"))
    assert dpdm.endswith(" | 576 |")  # 4,395 steps of 4,096 records and 32 views
    assert dpdm.count("%)") == 2
    assert "| `dp-merf` | none | none | none |" in lines
