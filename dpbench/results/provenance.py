"""Where and when a result was made, and by which code."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import dpbench


def now() -> str:
    """The time, UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def provenance(device: str, processes: int, precision: str) -> dict[str, Any]:
    """The record's fields on where, when and by which code a trial was made.

    Args:
        device: its readable name, e.g. "cuda (NVIDIA H100)".
        processes: number of processes that trained together.
        precision: the precision of the models.
    """
    return {
        "device": f"{processes} × {device}" if processes > 1 else device,
        "computed_in": precision,
        "dpbench_version": dpbench.__version__,
        "git_commit": git_commit(),
        "date": now(),
    }


def scored_now() -> dict[str, str]:
    """The time and the dpbench that compute scores: "date" (UTC), "version" and "commit"; see `now`, `git_commit`."""
    return {"date": now(), "version": dpbench.__version__, "commit": git_commit()}


@cache
def git_commit() -> str:
    """The commit of the repository that dpbench runs from, with "-dirty" if files differ; "" for an installed copy."""
    root = Path(dpbench.__file__).parents[1]
    if not (root / ".git").exists():
        return ""
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
