"""The duration of a phase over all attempts at it."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from dpbench.core.errors import DpbenchError
from dpbench.core.files import read_json, write_json


class Stopwatch:
    """Measures from now on, and adds the seconds that an interrupted attempt saved.

    Args:
        path: JSON file of the seconds so far; None adds nothing.
    """

    def __init__(self, path: Path | None = None):
        self._path = path
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds up to now. Work of an interrupted attempt after its last `save` is not counted: it is done again."""
        return self._earlier + time.perf_counter() - self._start

    def save(self) -> None:
        """Stores the seconds, together with a state that the next attempt continues from."""
        if self._path is not None:
            write_json(self._path, {"seconds": self.seconds})

    @cached_property
    def _earlier(self) -> float:
        if self._path is not None:
            with suppress(DpbenchError, KeyError, TypeError, ValueError):  # there was none, or it is damaged
                return float(read_json(self._path)["seconds"])
        return 0.0
