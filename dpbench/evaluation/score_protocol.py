"""The protocol of a metric's scores: everything besides the images that they depend on, and whether it is up to date.

It has the metric's own `protocol`, the extractors that it used, and the hash of its code if that is outside dpbench.
Scores under different protocols are different scores: outdated ones are computed again, and the two are never ranked
against each other.
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
    """A protocol's note on the code of a metric or an extractor: "code 1a2b3c4d"; "" for dpbench's own code.

    The note describes the class as it was at the first call.
    """
    found = outside_hash(plugin)[:LENGTH]
    return f"code {found}" if found else ""


def score_protocol(metric: type[Metric], extractors: Iterable[str]) -> dict[str, str]:
    """The protocol of a metric's scores: the non-empty entries of "metric", "extractors" and "code".

    Args:
        metric: its class.
        extractors: descriptions of the extractors that it used, with the hashes of their code.
    """
    entries = {"metric": metric.protocol, "extractors": "; ".join(extractors), "code": code_note(metric)}
    return {name: text for name, text in entries.items() if text}


def is_outdated(stored: Any, metric: type[Metric]) -> bool:
    """Whether a score comes from another version of its metric, or from other code of the metric or its extractors.

    Args:
        stored: the `score_protocol` of the score; None if there is none, a text if an earlier dpbench computed it.
        metric: the metric's current class.
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
