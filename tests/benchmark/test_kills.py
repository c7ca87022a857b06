"""A run that is killed at any moment continues as if nothing had happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import killing

import dpbench

REQUEST: dict[str, Any] = {
    "methods": "fake", "dataset": "tiny", "public": "tiny-public", "epsilons": [1.0], "delta": 1e-6,
    "metrics": ["brightness"], "references": (), "device": "cpu",
}  # fmt: skip


CHANGES = (4, 20, 35, 50, 65, 80)
"""Before which changes of files a run is killed; a whole run makes about a hundred."""


def test_nothing_is_lost_wherever_a_run_is_killed(tiny: Path) -> None:
    for number in CHANGES:
        request = REQUEST | {"out": tiny / str(number), "samples": number}  # another trial for each kill

        def attempt(number: int = number, request: dict[str, Any] = request) -> None:
            killing.kill_before_change(number, tiny.parent)
            dpbench.run(**request)

        assert killing.was_killed(killing.in_a_child(attempt))
        [key] = dpbench.run(**request)["key"]
        killing.check_whole(request["out"], key)
