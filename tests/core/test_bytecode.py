"""The code of a class without a file."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dpbench.core.bytecode import compiled
from dpbench.core.closure import outside_hash
from dpbench.core.method import Method

SOURCE = """
class Mine(Method):
    version = "1"
    sizes = (1, 2)

    def fit(self, private, run, weight=2):
        return [weight * x for x in private]

    @classmethod
    def plan(cls, config, spec, request):
        return 3
"""


def made(source: str) -> Any:
    """The class that a notebook would define."""
    names = {"Method": Method, "__name__": "nowhere"}
    exec(source, names)
    return names["Mine"]


def test_equal_code_counts_as_the_same() -> None:
    assert compiled(made(SOURCE)) == compiled(made("\n# moved\n" + SOURCE))
    assert outside_hash(made(SOURCE)) == outside_hash(made(SOURCE)) != ""
    json.dumps(compiled(made(SOURCE)))


@pytest.mark.parametrize(
    ("old", "new"), [("weight * x", "weight + x"), ("=2", "=3"), ("return 3", "return 4"), ("(1, 2)", "(1, 3)")]
)
def test_edited_code_counts_as_other_code(old: str, new: str) -> None:
    assert outside_hash(made(SOURCE.replace(old, new))) != outside_hash(made(SOURCE))
