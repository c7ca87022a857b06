"""The documentation site: its page of names is complete."""

from __future__ import annotations

import re
from pathlib import Path

import dpbench
from dpbench import REFINERS

DOCS = Path(__file__).parents[2] / "docs"


def test_every_exported_name_has_a_place_in_the_reference() -> None:
    listed = re.findall(r"^::: dpbench\.(\w+)$", (DOCS / "reference.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted({*listed})
    registries = {name for name in dpbench.__all__ if isinstance(getattr(dpbench, name), type(REFINERS))}
    assert {*dpbench.__all__} - {"__version__"} - registries == {*listed} - registries
    assert registries & {*listed}, "one registry stands for all"


def test_every_page_is_in_the_navigation() -> None:
    navigation = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    assert [page.name for page in DOCS.glob("*.md") if f" {page.name}\n" not in navigation] == []
