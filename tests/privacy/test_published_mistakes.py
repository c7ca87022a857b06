"""Every mistake of published implementations that applies to a registered method has a test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from published_mistakes import EVERY, MISTAKES

from dpbench.core.registries import METHODS

TESTS = Path(__file__).parents[1]


def exists(pointer: str) -> bool:
    """Whether "FILE" has tests, or "FILE::TEST" is one."""
    file, _, name = pointer.partition("::")
    path = TESTS / file
    if not path.is_file():
        return False
    return path.parent.name == "mistakes" or bool(re.search(rf"^def {name or 'test_'}", path.read_text("utf-8"), re.M))


@pytest.mark.parametrize("method", METHODS.names())
def test_every_mistake_that_applies_to_a_method_is_covered(method: str) -> None:
    applying = [mistake for mistake in MISTAKES if mistake.applies_to(method)]
    assert [mistake.what for mistake in applying if not mistake.tests] == [], "name tests in published_mistakes.py"
    assert [test for mistake in applying for test in mistake.tests if not exists(test)] == []
    assert any(mistake.methods != EVERY for mistake in applying), f"which published mistakes are those of {method}?"


def test_a_test_that_is_missing_is_noticed() -> None:
    assert exists("privacy/mistakes/noise_seeded.py")
    assert exists("privacy/test_published_mistakes.py::test_a_test_that_is_missing_is_noticed")
    assert not exists("privacy/test_published_mistakes.py::test_of_something_else")
    assert not exists("privacy/no_such_file.py")


def test_every_mistake_is_listed_once() -> None:
    assert len({mistake.what for mistake in MISTAKES}) == len(MISTAKES)
