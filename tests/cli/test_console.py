"""Warnings: whose are shown, and how often."""

from __future__ import annotations

import pytest

import dpbench
from dpbench.cli.console import OneLineWarnings

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
