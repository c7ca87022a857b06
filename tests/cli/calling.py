"""Helper that calls the command line on tiny data."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from dpbench.cli import app

PLUGIN = Path(__file__).parents[1] / "plugin_mean.py"
TINY = [
    "--dataset",
    "tiny",
    "--public",
    "tiny-public",
    "--samples",
    "30",
    "--delta",
    "1e-6",
    "--metrics",
    "brightness",
    "--references",
    "none",
]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "200"}, catch_exceptions=False)


def run(out: Path, *arguments: object, method: str = "fake") -> Result:
    return call("run", "--method", method, *TINY, "--out", out, "--device", "cpu", *arguments)
