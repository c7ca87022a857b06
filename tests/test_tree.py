"""The shape of the tree: a module can be found by its name, and held in the head."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import dpbench

PACKAGE = Path(dpbench.__file__).parent
LONGEST = 400


def test_no_two_modules_share_a_name() -> None:
    names = Counter(path.name for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
    assert [name for name, count in names.items() if count > 1] == []


def test_no_file_is_longer_than_one_can_hold_in_the_head() -> None:
    folders = (PACKAGE, PACKAGE.parent / "tests", PACKAGE.parent / "perf", PACKAGE.parent / "experiments")
    lengths = {path: len(path.read_text().splitlines()) for folder in folders for path in folder.rglob("*.py")}
    assert [str(path) for path, length in lengths.items() if length > LONGEST] == []
