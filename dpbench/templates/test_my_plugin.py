"""my-plugin keeps the promises of its kind."""

from pathlib import Path

import pytest
from my_plugin import MyPlugin

from dpbench.contracts.checking import Check, case_of, checks_of


@pytest.mark.parametrize("check", checks_of("KIND"), ids=lambda check: check.__name__)
def test_it_keeps_its_promises(check: Check, tmp_path: Path) -> None:
    case = case_of("KIND", "my-plugin", tmp_path)
    assert case.plugin is MyPlugin
    check(case)
