"""One thing that was looked at on this machine, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "absent", "problem"]
"""Absent is what only those miss who use it, such as a dataset or an optional package. A problem keeps runs from
working, or makes them much slower than they have to be.
"""


@dataclass(frozen=True)
class Check:
    """What was found.

    Attributes:
        topic: "packages", "optional packages", "hardware", "folders", "datasets" or "weights".
        name: what was looked at.
        state: whether it is as it should be.
        found: version, size, place, or what is wrong.
        advice: what to do; "" if nothing.
    """

    topic: str
    name: str
    state: State
    found: str
    advice: str = ""
