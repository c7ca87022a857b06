"""The code of metrics and extractors outside dpbench, as the protocol of a score states it.

A score of other code is another score: it is computed again, and never ranked against the first.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cache

from dpbench.core.closure import outside_hash
from dpbench.core.errors import DpbenchError
from dpbench.core.registries import EXTRACTORS

LENGTH = 8
"""Characters of a hash in a note."""


@cache
def code_note(plugin: type) -> str:
    """What a protocol says of the code of a metric or an extractor: "code 1a2b3c4d"; "" for dpbench's own.

    It is that of the class as it was when it was first asked for.
    """
    found = outside_hash(plugin)[:LENGTH]
    return f"code {found}" if found else ""


def has_changed(protocol: str, metric: type) -> bool:
    """Whether a score was computed by other code of its metric, or of an extractor that the metric used.

    Args:
        protocol: the protocol of the score.
        metric: the metric's present class.
    """
    own = code_note(metric)
    noted = set(re.findall(rf"\bcode [0-9a-f]{{{LENGTH}}}\b", protocol))
    return own not in {"", *noted} or not noted <= {own, *_extractor_notes()}


def _extractor_notes() -> set[str]:
    """The notes of all extractors outside dpbench that can be imported."""
    notes = set()
    for name in EXTRACTORS.names():
        if not EXTRACTORS.is_builtin(name):
            with suppress(DpbenchError):
                notes.add(code_note(EXTRACTORS.get(name)))
    return notes
