"""The protocol of a metric's scores: what they depend on besides the images, and whether that is still so.

It has the metric's own `protocol`, the extractors that it used, and the hash of its code where it is outside dpbench.
Scores of another protocol are other scores: they are computed again, and never ranked against the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from typing import Any

from dpbench.core.closure import outside_hash
from dpbench.core.errors import DpbenchError
from dpbench.core.metric import Metric
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


def score_protocol(metric: type[Metric], extractors: Iterable[str]) -> dict[str, str]:
    """What the scores of a metric depend on: entries "metric", "extractors" and "code", without the empty ones.

    Args:
        metric: its class.
        extractors: descriptions of the extractors that it used, with the hashes of their code.
    """
    entries = {"metric": metric.protocol, "extractors": "; ".join(extractors), "code": code_note(metric)}
    return {name: text for name, text in entries.items() if text}


def is_outdated(stored: Any, metric: type[Metric]) -> bool:
    """Whether a score is of another version of its metric, or by other code of it or of an extractor that it used.

    Args:
        stored: the `score_protocol` of the score, None if there is none; a text if an earlier dpbench computed it.
        metric: the metric's present class.
    """
    if not isinstance(stored, dict):
        return True
    noted = set(re.findall(rf"\bcode [0-9a-f]{{{LENGTH}}}\b", stored.get("extractors", "")))
    expected = score_protocol(metric, [])
    return any(stored.get(part) != expected.get(part) for part in ("metric", "code")) or not noted <= _extractor_notes()


def _extractor_notes() -> set[str]:
    """The notes of all extractors outside dpbench that can be imported."""
    notes = set()
    for name in EXTRACTORS.names():
        if not EXTRACTORS.is_builtin(name):
            with suppress(DpbenchError):
                notes.add(code_note(EXTRACTORS.get(name)))
    return notes
