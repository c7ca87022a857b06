"""The words of a command line that repeat a request."""

from __future__ import annotations

from dpbench import RunRequest
from dpbench.benchmark.command_words import given


def test_settings_are_written_as_they_can_be_typed() -> None:
    settings = {"widths": (32, 64), "limit": None, "mode": "fast"}
    words = given(RunRequest(settings=settings), "settings")
    assert words == ["--set", "widths=[32,64]", "--set", "limit=null", "--set", "mode=fast"]
