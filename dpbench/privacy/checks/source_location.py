"""Where in a plugin something happened: file and line, for messages."""

from __future__ import annotations

import sys
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import FrameType

import torch

_ENGINE_ROOM = (str(Path(__file__).parent), str(Path(torch.__file__).parent), "<")
"""This part of dpbench, torch, and code without a file."""

_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def here() -> str:
    """The innermost line under execution that a method's author wrote, as "plugin.py:31"."""
    return _authors(_under_execution(sys._getframe(1)))


def origin(error: BaseException) -> str:
    """The innermost such line that an exception passed through."""
    passed = reversed(list(traceback.walk_tb(error.__traceback__)))
    return _authors((frame.f_code.co_filename, line) for frame, line in passed)


def _under_execution(frame: FrameType | None) -> Iterator[tuple[str, int]]:
    while frame is not None:
        yield frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back


def _authors(lines: Iterable[tuple[str, int]]) -> str:
    """The first line outside of installed packages; without one, the first outside of this part and torch."""
    fallback = ""
    for file, number in lines:
        name, is_authors = _about(file)
        if is_authors:
            return f"{name}:{number}"
        if name and not fallback:
            fallback = f"{name}:{number}"
    return fallback or "an unknown line"


@cache
def _about(file: str) -> tuple[str, bool]:
    """(name for messages, "" for none; whether it lies outside of installed packages); called often."""
    if file.startswith(_ENGINE_ROOM):
        return "", False
    return Path(file).name, not file.startswith(_INSTALLED)
