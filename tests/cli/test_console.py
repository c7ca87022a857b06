"""Warnings: whose are shown, and how often."""

from __future__ import annotations

import pytest
from rich.table import Table
from rich.text import Text

import dpbench
from dpbench.cli.console import OneLineWarnings, complain, print_lines, print_page

SITE = "/env/lib/site-packages"


@pytest.mark.parametrize(
    ("filename", "message", "shown"),
    [
        (f"{SITE}/dpbench/benchmark/runner.py", "δ is\n high", "warning: δ is high\n"),
        ("/home/me/my_method.py", "few images", "warning: few images\n"),
        (f"{SITE}/opacus/engine.py", "secure mode is off", ""),
        (f"{SITE}/dpbench/training/loop.py", "an old call (Triggered internally at Module.cpp:1)", ""),
    ],
)
def test_only_warnings_of_dpbench_and_plugins_are_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, filename: str, message: str, shown: str
) -> None:
    monkeypatch.setattr(dpbench, "__file__", f"{SITE}/dpbench/__init__.py")
    show = OneLineWarnings()
    show(message, UserWarning, filename, 1)
    show(message, UserWarning, filename, 2)
    assert capsys.readouterr().err == shown


def test_control_characters_are_shown_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    clear = "\x1b[2J"
    table = Table()
    table.add_column(f"a{clear}")
    table.add_row(Text(f"b{clear}\nsecond line \u202e"))
    print_page(table)
    print_lines([f"c{clear}"])
    complain("error", f"d{clear}\nε")
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "\u202e" not in out
    for name in "abc":
        assert f"{name}\\x1b[2J" in out
    assert len(out.splitlines()) == 7
    assert err == "error: d\\x1b[2J ε\n"
