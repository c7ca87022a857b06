"""Tiny runs that launchers start in processes of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tiny_wavelet import TINY

import dpbench
from dpbench.benchmark.commands.dry_run import dry_run
from dpbench.core.files import read_json

TESTS = Path(__file__).parents[2]


def options(out: Path, **changes: Any) -> dict[str, Any]:
    """Options of a run of one trial of the wavelet method."""
    return {
        "methods": "wavelet", "dataset": "tiny", "public": "tiny-public", "samples": 10, "delta": 1e-6, "device": "cpu",
        "metrics": ["brightness"], "references": (), "settings": TINY, "plugins": [TESTS / "plugin_tiny.py"],
        "out": out,
    } | changes  # fmt: skip


def run(out: Path, **changes: Any) -> Any:
    return dpbench.run(**options(out, **changes))


def preview(out: Path, **changes: Any) -> Any:
    request = dpbench.RunRequest(**options(out, **changes))
    request.load_plugins()
    return dry_run(request)


def check_ledgers(out: Path, count: int) -> None:
    """Checks that so many trials are finished, and that each spent its plan, no less and no more."""
    ledgers = [read_json(path.with_name("ledger.json")) for path in out.rglob("trial.json")]
    assert len(ledgers) == count
    for ledger in ledgers:
        for mechanism in ledger["mechanisms"]:
            assert mechanism["releases_spent"] == mechanism["releases_planned"]
