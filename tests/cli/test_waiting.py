"""How torch's threads wait for each other is set before torch is imported, unless the user has set it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dpbench import cli


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"GOMP_SPINCOUNT": "10000"}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE"}),
    ],
)
def test_threads_wait_briefly_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: dict[str, str]
) -> None:
    environment = {"HOME": "x", **given}
    monkeypatch.setattr(cli.os, "environ", environment)
    monkeypatch.setattr(cli, "app", lambda: None)
    cli.main()
    assert environment == {"HOME": "x", **expected}


def test_the_command_is_in_time_for_torch() -> None:
    code = "import sys\nfrom dpbench import cli\ncli.app = lambda: print('torch' in sys.modules)\ncli.main()"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
