"""Commands work where neither files nor the terminal are UTF-8 by default."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def dpbench(*arguments: object, **environment: str) -> str:
    """What a command prints in a process of its own."""
    command = [sys.executable, "-m", "dpbench", *map(str, arguments)]
    variables = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])} | environment
    done = subprocess.run(command, env=variables, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode("cp1250")


def test_run_and_leaderboard_in_other_encodings(tiny: Path) -> None:
    request = ["--dataset", "tiny", "--public", "tiny-public", "--samples", 10, "--metrics", "brightness"]
    plugin = ["--plugin", TESTS / "plugin_tiny.py", "--out", tiny]
    ran = dpbench("run", "--method", "fake", *request, "--references", "none", "--device", "cpu", *plugin, **ASCII)
    assert "tiny, 16?16" in ran
    assert "ε" in next(tiny.rglob("log.txt")).read_text(encoding="utf-8")
    shown = dpbench("leaderboard", "--out", tiny, PYTHONIOENCODING="cp1250")
    assert "tiny, 16×16" in shown
    assert "?" in shown  # ε, which cp1250 lacks
