"""Failing sections for `gpu.py`, each after a check that passes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from perf._gpu_checks import Check, Setting, Value


def hang() -> dict[str, Value]:
    time.sleep(600)
    return {}


def die() -> dict[str, Value]:
    os._exit(3)


def checks(setting: Setting) -> Iterator[Check]:
    """Checks for the failure named by the device."""
    yield Check("first", ("x",), lambda: {"x": Value(1.0, True)})
    if setting.device == "hangs":
        yield Check("second", ("x",), hang)
    if setting.device == "dies":
        yield Check("second", ("x",), die)
    if setting.device == "fails":
        yield Check("second", ("x",), lambda: {"x": Value(2.0, False, "too large")})
