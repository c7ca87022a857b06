"""One check of this machine, with advice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "absent", "problem"]
"""Absent: only its users miss it, such as a dataset or an optional package. A problem keeps runs from working, or makes
them much slower than necessary.
"""


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        topic: "packages", "optional packages", "hardware", "folders", "datasets" or "weights".
        name: the thing that was checked.
        state: whether it is as it should be.
        found: its version, size or location, or what is wrong.
        advice: what to do; "" if nothing.
    """

    topic: str
    name: str
    state: State
    found: str
    advice: str = ""
