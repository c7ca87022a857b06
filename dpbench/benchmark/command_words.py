"""The words of a command line that give a request its values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field
from typing import Any

from dpbench.benchmark.request import FIELDS, RunRequest
from dpbench.core.variants import written


def given(request: RunRequest, *names: str) -> list[str]:
    """The words of a command line that set fields to the values of a request; default values need no words."""
    empty = RunRequest()
    return [
        word
        for name in names
        if getattr(request, name) != getattr(empty, name)
        for word in _words(FIELDS[name], getattr(request, name))
    ]


def _words(field: Field[Any], value: Any) -> list[str]:
    flag, listed = flag_of(field), field.metadata["parse"] is not None
    if value is True:
        return [flag]
    if isinstance(value, Mapping):
        return [word for key, setting in value.items() for word in (flag, f"{key}={written(setting)}")]
    if isinstance(value, tuple) and not listed:
        return [word for item in value for word in (flag, str(item))]
    return [flag, (text_of(value) or "none") if listed else str(value)]


def flag_of(field: Field[Any]) -> str:
    """The name of a field's option: "--public-benchmark"."""
    return field.metadata["flag"] or "--" + field.name.replace("_", "-")


def text_of(value: Any) -> str:
    """A list as it is typed on the command line: (1.0, 5.0) -> "1,5"."""
    items = value or ()
    return ",".join(f"{item:.12g}" if isinstance(item, float) else str(item) for item in items)
