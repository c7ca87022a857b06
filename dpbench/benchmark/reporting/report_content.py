"""The content of the report: the rows of folders of results, with ranks, settings, ledgers, commands and images.

For a dataset that is not declared public, it has no real image, and no image that the guarantee does not cover (R9).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

import dpbench
from dpbench.benchmark.reporting.budget_shares import spent_by_mechanism
from dpbench.benchmark.reporting.figure_grids import open_test, reference_of
from dpbench.benchmark.reporting.row_command import row_command
from dpbench.core.errors import DpbenchError
from dpbench.core.files import is_there
from dpbench.core.folders import state_folder
from dpbench.core.metric import Column
from dpbench.core.variants import titled
from dpbench.results import privacy_record
from dpbench.results.cell_images import conditions_of, picture_of
from dpbench.results.comparable import ORDER, heading_of, marks_of, series_of, tables_of
from dpbench.results.metric_columns import headline_columns, known_columns, owners
from dpbench.results.over_seeds import score_columns
from dpbench.results.provenance import now
from dpbench.results.ranking import rank, ranked_apart, read_outcomes
from dpbench.results.record import TrialRecord
from dpbench.results.row import CI95, CIRCUMSTANCES, COSTS, IDENTITY, read_protocol
from dpbench.results.stored_ledger import StoredLedger, segments_of
from dpbench.results.trial_folder import LEDGER, TrialFolder

MOST_PICTURED = 40
"""Maximum number of rows of a table whose images are in the report."""

NOT_FACTS = {"method", "variant", "config", "seed", "dataset", "epsilon", "notes", *COSTS}
"""Columns that a row's facts leave out, because they are shown elsewhere."""


class Line(NamedTuple):
    """A line of a table, and the trial of its first seed.

    Attributes:
        values: see `results.over_seeds.aggregate`.
        folder, record, first: the trial's folder, record and row.
        seeds: how many seeds a run needs to make all of the line's trials.
    """

    values: pd.Series[Any]
    folder: TrialFolder
    record: TrialRecord
    first: pd.Series[Any]
    seeds: int


def report_content(rows: pd.DataFrame, data: Path | None = None) -> dict[str, Any]:
    """The content of the page; see `results.report.page_file.write_page`.

    Args:
        rows: one line per trial; see `results.leaderboard_rows.collect`.
        data: folder of datasets, for real images of public benchmarks; the default one if None.
    """
    columns, metrics = _columns(rows), owners()
    return {
        "made": now(),
        "version": dpbench.__version__,
        "columns": {c.name: {"better": c.better, "help": c.help, "metric": metrics.get(c.name, "")} for c in columns},
        "headline": [c.name for c in headline_columns() if c in columns] or [c.name for c in columns[:3]],
        "tables": [_table(table, rows, columns, metrics, data) for table in tables_of(rows)],
    }


def _columns(rows: pd.DataFrame) -> list[Column]:
    """The metrics' columns that have a value, including those of metrics that are not installed."""
    known = {column.name: column for column in known_columns()}
    names = [name for name in score_columns(rows) if rows[name].notna().any()]
    return [known.get(name, Column(name, None, "")) for name in names]


def _table(
    table: pd.DataFrame, rows: pd.DataFrame, columns: Sequence[Column], metrics: Mapping[str, str], data: Path | None
) -> dict[str, Any]:
    ordered = table.assign(order=table["reference"].map(ORDER)).sort_values(
        ["order", "epsilon", "track", "method", "variant"], kind="stable"
    )
    ordered = ordered.assign(series=series_of(ordered))
    trials = rows.set_index("folder")
    lines = [_line(values, trials.loc[list(values["trials"])]) for _, values in ordered.iterrows()]
    ranked = [c for c in columns if c.better and not c.ranked_by and c.name in metrics]
    ranks = {c.name: _ranks(ordered, rows, c, metrics[c.name]) for c in ranked}
    generated = next((line for line in lines if line.record.reference != "real"), lines[0])
    real, images, missing = _real_images(generated.record, lines, reference_of(table), data)
    return {
        "heading": heading_of(table),
        "dataset": generated.record.dataset,
        "record": [text for text, _ in _privacy_record(generated.record, rows)],
        "conditions": images,
        "real": real,
        "missing": missing,
        "lines": [
            _row(number, line, columns, {name: found[number] for name, found in ranks.items()}, images)
            for number, line in enumerate(lines)
        ],
    }


def _line(values: pd.Series[Any], trials: pd.DataFrame) -> Line:
    folder = TrialFolder(Path(values["trials"][0]))
    record = folder.read_sampled()
    seeds = trials["seed"].max()
    return Line(values, folder, record, trials.iloc[0], 1 if pd.isna(seeds) else int(seeds) + 1)


def _ranks(table: pd.DataFrame, rows: pd.DataFrame, column: Column, metric: str) -> list[tuple[int | None, str]]:
    """(rank or None, the reason why it is not ranked against most others) of each line."""
    ranked = table.assign(rank=rank(table, column, metric, read_outcomes(rows, table, column)))
    apart = ["; ".join(reasons) for reasons in ranked_apart(ranked, metric)]
    return [(None if pd.isna(n) else int(n), why) for n, why in zip(ranked["rank"], apart, strict=True)]


def _row(
    number: int,
    line: Line,
    columns: Sequence[Column],
    ranks: Mapping[str, tuple[int | None, str]],
    conditions: Sequence[str],
) -> dict[str, Any]:
    values, record = line.values, line.record
    scores = {c.name: [values[c.name], values[c.name + CI95]] for c in columns if pd.notna(values[c.name])}
    picture, why = _picture(line, conditions) if number < MOST_PICTURED else (None, "too many rows")
    return {
        "id": record.key,
        "title": titled(values["method"], values["variant"]),
        "series": values["series"],
        "marks": marks_of(values),
        "reference": record.reference,
        "epsilon": values["epsilon"],
        "track": values["track"],
        "seeds": int(values["seeds"]),
        "interval": values["interval"],
        "scores": scores,
        "ranks": {name: found for name, (found, _) in ranks.items()},
        "apart": {name: why for name, (_, why) in ranks.items() if why},
        "unranked": _unranked(values),
        "costs": {name: float(values[name]) for name in COSTS if pd.notna(values[name])},
        "settings": dict(_flat(record.config)),
        "protocol": _protocol(values),
        "facts": {f.name: _text(line.first[f.name]) for f in (*IDENTITY, *CIRCUMSTANCES) if f.name not in NOT_FACTS},
        "notes": list(values["notes"]),
        "ledger": _ledger(line),
        "command": row_command(record, line.seeds),
        "picture": picture,
        "unpictured": why,
    }


def _unranked(values: pd.Series[Any]) -> str:
    """Why a line has no rank by any metric; "" if it may have one."""
    reasons = {
        "it is a reference": values["reference"] in ("real", "public", "nonprivate"),
        "its ε is a claim": values["reference"] == "external",
        "its accounting is unverified": values["accounting"] == "unverified",
        "its noise is reproducible, for tests only": values["noise"] == "reproducible",
    }
    return "; ".join(text for text, holds in reasons.items() if holds)


def _protocol(values: pd.Series[Any]) -> dict[str, str]:
    """The protocol of a line's scores: the entry of each metric, and the entries that all share."""
    shared = {name: _text(values[name]) for name in ("n_samples", "n_reference", "extractor")}
    own = read_protocol(values["protocol"])
    return shared | {name: "; ".join(map(": ".join, _flat(entry))) if isinstance(entry, Mapping) else str(entry)
                     for name, entry in own.items()}  # fmt: skip


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(setting, value); a part's setting is "part.setting"."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text(value: Any) -> str:
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _ledger(line: Line) -> dict[str, Any] | None:
    """The priced ledger of the line's first trial; None if nothing was released. A damaged one gives its error."""
    path = line.folder.path / LEDGER
    if not is_there(path):
        return None
    try:
        ledger = StoredLedger.read(path)
        if not ledger.mechanisms:
            return None
        mechanisms = [
            asdict(mechanism) | spent._asdict() | {"segments": segments_of(mechanism)}
            for mechanism, spent in zip(ledger.mechanisms, spent_by_mechanism(ledger), strict=True)
        ]
    except DpbenchError as error:
        return {"damaged": str(error), "mechanisms": []}
    return asdict(ledger) | {"mechanisms": mechanisms}


def _picture(line: Line, conditions: Sequence[str]) -> tuple[dict[str, Any] | None, str]:
    """The picture of a line's samples, or why there is none."""
    if line.record.reference == "real":
        return None, ""
    if line.record.is_sensitive:
        return None, "no guarantee covers these images, and the dataset is not declared public"
    try:
        return picture_of(line.folder.samples(line.record), conditions), ""
    except DpbenchError as error:
        return None, str(error)


def _real_images(
    record: TrialRecord, lines: Sequence[Line], reference: str, data: Path | None
) -> tuple[dict[str, Any] | None, list[str], str]:
    """The picture of the test split, the conditions of all rows of cells, and the reason if there is no picture."""
    stored = _stored_conditions(lines)
    try:
        test = open_test(record, reference, data)
        conditions = stored or conditions_of(test)
        return picture_of(test, conditions), conditions, ""
    except DpbenchError as error:
        return None, stored, f"no real images: {error}"


def _stored_conditions(lines: Sequence[Line]) -> list[str]:
    """The conditions of the first line whose samples may be shown."""
    for line in lines:
        if line.record.reference != "real" and not line.record.is_sensitive:
            try:
                return conditions_of(line.folder.samples(line.record))
            except DpbenchError:  # reported where its picture is missing
                continue
    return []


def _privacy_record(record: TrialRecord, rows: pd.DataFrame) -> Iterator[tuple[str, bool]]:
    """See `privacy_record.lines_about`."""
    same = rows["dataset_fingerprint"] == record.dataset_fingerprint
    found = privacy_record.of_fingerprint(state_folder() / privacy_record.FOLDER, record.dataset_fingerprint)
    return privacy_record.lines_about(record.dataset, found, rows[same & (rows["reference"] == "")])
