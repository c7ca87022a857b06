"""The page of a dry run on a narrow terminal."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from dpbench import RunRequest
from dpbench.benchmark.commands.dry_run import dry_run
from dpbench.cli.pages.dry_run_page import dry_run_page

LONG = "fake[batch=20,levels=2,spread=4.123456789012345]"


def test_a_long_variant_leaves_room_for_budget_seed_stages_and_time(tiny: Path) -> None:
    request = RunRequest(LONG, "tiny", [10], public="tiny-public", references=(), out=tiny, device="cpu", delta=1e-6)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(dry_run_page(dry_run(request), tiny))
    text = console.export_text()
    table = text.partition("plan of")[0]
    assert "1 trial on tiny" in table
    assert "…" not in text
    for part in (
        "fake",
        "[spread=4.123456789012345,",
        "ε=10",
        "seed 0",
        "public training",
        "sampling",
        "scoring",
        "unknown",
    ):
        assert part in table
    assert all(len(line) <= 80 for line in text.splitlines())
