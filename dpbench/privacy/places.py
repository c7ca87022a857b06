"""Where in a plugin something happened: file and line, for messages."""

from __future__ import annotations

import sys
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import FrameType

import torch

_ENGINE_ROOM = (str(Path(__file__).parent), str(Path(torch.__file__).parent))
"""This part of dpbench, and torch."""

_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def here() -> str:
    """The innermost line under execution that a method's author wrote, as "plugin.py:31"."""
    frames: list[FrameType] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return _authors((f.f_code.co_filename, f.f_lineno) for f in frames)


def origin(error: BaseException) -> str:
    """The innermost such line that an exception passed."""
    passed = reversed(list(traceback.walk_tb(error.__traceback__)))
    return _authors((frame.f_code.co_filename, line) for frame, line in passed)


def _authors(lines: Iterable[tuple[str, int]]) -> str:
    """The first line outside of installed packages; without one, the first outside of this part and torch."""
    fallback = ""
    for file, number in lines:
        if file.startswith((*_ENGINE_ROOM, "<")):
            continue
        if not file.startswith(_INSTALLED):
            return f"{Path(file).name}:{number}"
        fallback = fallback or f"{Path(file).name}:{number}"
    return fallback or "an unknown line"
