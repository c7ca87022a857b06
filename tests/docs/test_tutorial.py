"""The tutorial's file and commands work as they stand, here on few images."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from short_recipes import shorten
from typer.testing import CliRunner

from dpbench.cli import app
from dpbench.data.synthetic.shapes import Shapes

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"


def test_the_tutorial_leads_to_rows(tmp_path: Path, registries: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Shapes, "n_train", 600)
    monkeypatch.setattr(Shapes, "n_test", 60)
    shorten(monkeypatch, 2, batch=16)
    text = PAGE.read_text(encoding="utf-8")
    (source,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "plugin_gaussian.py").write_text(source, encoding="utf-8")
    commands = re.findall(r"^dpbench (.*)$", text, re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["show", "check", "run"]
    for command in commands:
        words = shlex.split(command.replace("3000", "60"))
        result = CliRunner().invoke(app, words, env={"COLUMNS": "160"}, catch_exceptions=False)
        assert result.exit_code == 0, result.output
    rows = (tmp_path / "results" / "leaderboard.csv").read_text(encoding="utf-8").splitlines()
    assert sum(row.startswith("gaussian,") for row in rows) == 4
