"""The leaderboard's columns: their order, types and meaning, and the row of a trial."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from dpbench.core.errors import DataError
from dpbench.core.metric import Column
from dpbench.core.printable import printable
from dpbench.results import record
from dpbench.results.record import TrialRecord
from dpbench.results.stored_scores import StoredScores


class Field(NamedTuple):
    """One column that belongs to no metric."""

    name: str
    type: str
    help: str


IDENTITY = tuple(Field(name, type, help) for name, _, type, help in record.columns(record.BEFORE))
"""Columns before the metrics."""

PROTOCOL = (
    Field("n_samples", "int", "synthetic images scored"),
    Field("n_reference", "int", "real images that the samples were compared with"),
    Field("extractor", "str", "feature extractors, their weights and resizing"),
    Field("protocol", "str", "everything else that the scores depend on, as JSON"),
)
"""The evaluation protocol: rows that differ in it are never ranked against each other."""

_AFTER = [Field(name, type, help) for name, _, type, help in record.columns(record.AFTER)]
_SECONDS = [f for f in _AFTER if f.name.startswith("seconds_")]

CIRCUMSTANCES = (
    *_SECONDS,
    Field("seconds_evaluate", "float", "scoring"),
    Field("scored_by", "str", "version and commit of the dpbench that computed the newest scores"),
    *_AFTER[len(_SECONDS) :],
    Field("notes", "list", "reasons for empty cells, and caveats on the others"),
)
"""Columns after the metrics."""

FIELDS = IDENTITY + PROTOCOL + CIRCUMSTANCES

CI95 = "_ci95"
"""Suffix of the column with the half-width of a score's 95% interval: over seeds if there are several (Student's t),
over images otherwise, and over the classifiers' runs for accuracies."""

COSTS = [*(f.name for f in CIRCUMSTANCES if f.name.startswith("seconds_")), "peak_memory_mb"]
COSTS += ["parameters_private", "parameters_total", "queries"]
"""Columns for the cost of a trial."""

PLACES = ("folder", "outcomes")
"""Columns that exist only in memory: the trial's folder, and the names of the scores with stored per-image outcomes,
separated by spaces."""

DERIVED = ("seeds", "interval", "trials", "rank", "order", "series")
"""Columns that the aggregate over seeds and the tables add."""

RESCORE = "delete scores.json; `dpbench evaluate --all` makes it again from the samples"

RESERVED = frozenset({*(f.name for f in FIELDS), *PLACES, *DERIVED})
"""Columns that no metric may fill: a metric that filled `epsilon_spent` would misstate the spent budget."""


@cache
def is_reserved(name: str) -> bool:
    """Whether a score of that name would fill a reserved column or an interval's column."""
    return name in RESERVED or name.endswith(CI95)


def column_names(metrics: Sequence[Column], scored: Iterable[str] = ()) -> list[str]:
    """All column names in order.

    Args:
        metrics: the columns of the known metrics.
        scored: names of the scores that were found; those of unknown metrics follow the known columns.
    """
    known = [column.name for column in metrics]
    others = sorted(name for name in set(scored) - set(known) if not name.endswith(CI95))
    with_intervals = [part for name in known + others for part in (name, name + CI95)]
    return [f.name for f in IDENTITY] + with_intervals + [f.name for f in PROTOCOL + CIRCUMSTANCES]


def make_row(trial: TrialRecord, scores: StoredScores) -> dict[str, Any]:
    """One leaderboard line: column name -> value, None if the column does not apply.

    Args:
        trial: the record of the trial.
        scores: its scores.

    Raises:
        DataError: the scores are damaged, or one would fill a reserved column.
    """
    names = {**scores.values, **scores.ci95}
    if wrong := sorted(name for name in names if is_reserved(name) or not name.isidentifier()):
        raise DataError(f"the scores fill reserved columns: {', '.join(wrong)}; {RESCORE}")
    protocol = dict(scores.protocol)
    row: dict[str, Any] = dict(record.row_of(trial))
    row["config"] = json.dumps(trial.config, ensure_ascii=False)
    row |= {name: None if value is None else float(value) for name, value in scores.values.items()}
    row |= {name + CI95: float(half) for name, half in scores.ci95.items()}
    row |= {f.name: protocol.pop(f.name, None) for f in PROTOCOL[:-1]} | {"extractor": _extractors(protocol)}
    row["protocol"] = json.dumps(protocol, sort_keys=True, ensure_ascii=False) if protocol else ""
    row["seconds_evaluate"] = sum(scores.seconds.values())
    newest: Mapping[str, str] = max(scores.scored.values(), key=lambda scored: scored.get("date", ""), default={})
    row["scored_by"] = " ".join(newest.get(part, "") for part in ("version", "commit")).strip()
    unverified = [f"accounting unverified: {reason}" for reason in trial.unverified]
    notes = [*unverified, *trial.remarks, *_reasons(scores.missing), *scores.caveats]
    row["notes"] = tuple(dict.fromkeys(notes))
    return row | {f.name: _typed(row[f.name], f) for f in FIELDS}


def read_protocol(text: str) -> dict[str, Any]:
    """The content of a cell of the column `protocol`: name -> entry; nothing if it is empty."""
    found: dict[str, Any] = json.loads(text or "{}")
    return found


def _extractors(protocol: Mapping[str, Any]) -> str:
    """The extractors of all metrics: "a; b"."""
    used = [entry["extractors"] for entry in protocol.values() if isinstance(entry, dict) and "extractors" in entry]
    return "; ".join(sorted({name for text in used for name in text.split("; ")}))


def _reasons(missing: Mapping[str, str]) -> Iterable[str]:
    """One text per reason of empty cells: "accuracy, accuracy_cnn: the dataset has no classes"."""
    groups: dict[str, list[str]] = {}
    for column, reason in missing.items():
        groups.setdefault(reason, []).append(column)
    return (f"{', '.join(columns)}: {reason}" for reason, columns in groups.items())


_TYPES: Mapping[str, Callable[[Any], Any]] = {
    "str": lambda value: printable(str(value)),
    "int": int,
    "float": float,
    "list": lambda texts: tuple(map(printable, texts)),
}


def _typed(value: Any, field: Field) -> Any:
    """The value in its column's type: integers have 64 bits, texts are printable."""
    if value is None:
        return "" if field.type == "str" else None
    try:
        typed = _TYPES[field.type](value)
        if field.type == "int":
            typed.to_bytes(8, signed=True)
    except (ValueError, OverflowError) as error:
        remedy = "restore trial.json, or move the trial's folder away"
        raise DataError(f"{field.name} is damaged ({value!r:.40}); {remedy}") from error
    return typed
