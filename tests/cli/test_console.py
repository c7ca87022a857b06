"""Warnings, and errors about the words of a command line: which are shown, how often, and in which words."""

from __future__ import annotations

import re

import pytest
from calling import call
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


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("run --seeds 1.5", "invalid value for '--seeds': .* valid integer.*; see `.* run --help`"),
        (
            "audit dp-merf --eps 1,2",
            "invalid value for '--eps': .* valid .*; see `.* audit --help`",
        ),
        ("plot samples --count 0", "invalid value for '--count': .*1.*; see `.* plot samples --help`"),
        ("list nope", "'nope' is not one of 'methods', .*; see `.* list --help`"),
        ("run --sets", "no such option: --sets .*--seeds.*; see `.* run --help`"),
        ("runn", "no such command 'runn'; did you mean 'run'; see `.* --help`"),
        ("plot violin", "no such command 'violin'; see `.* plot --help`"),
        ("show", "missing argument 'NAME'; see `.* show --help`"),
        ("--quiet list", "no such option: --quiet; see `.* --help`"),
        ("run --gpus", "option '--gpus' requires an argument"),
    ],
)
def test_words_that_make_no_command_are_answered_in_one_line(line: str, message: str) -> None:
    result = call(*line.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(f"error: .*{message}.*\n", result.stderr), result.stderr


def test_a_group_without_a_command_shows_its_help() -> None:
    assert "Draw scores by ε" in call("plot").output
    assert "Train, sample and score" in call().output
