"""The leaderboard's columns: their order, types and meaning, and the row of a trial."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from dpbench.core.metric import Column


class Field(NamedTuple):
    """A column that is not filled by a metric."""

    name: str
    type: Literal["str", "int", "float"]
    help: str


CLAIMED = "claimed, unverified"
"""Value of `accounting` for images made by another program."""

IDENTITY = (
    Field("method", "str", "method; 'real' for real images scored as if synthetic, a given name for external images"),
    Field("variant", "str", "settings changed relative to the preset, e.g. 'codes=128,steps=50'"),
    Field(
        "reference",
        "str",
        "'' | 'real' | 'public' (ε = 0) | 'nonprivate' (ε = ∞) | 'external' (made by another program)",
    ),
    Field("method_version", "str", "version of the method's code"),
    Field("track", "str", "public knowledge used: 'none' | 'images' | 'foundation'"),
    Field("dataset", "str", "sensitive dataset"),
    Field("dataset_fingerprint", "str", "hash of train (keyed with a secret unless the dataset is public)"),
    Field("resolution", "int", "height and width in pixels"),
    Field("n_train", "int", "records of the sensitive split"),
    Field("epsilon", "float", "requested or claimed ε; 0: no private data used, inf: no noise"),
    Field("delta", "float", "requested or claimed δ"),
    Field("epsilon_spent", "float", "ε of all releases, by PLD; empty if the accounting is unverified"),
    Field("epsilon_rdp", "float", "ε of the same releases by Rényi accounting"),
    Field("mu", "float", "μ of the same releases by Gaussian DP (up to 1e-10 in δ): comparable at any δ"),
    Field("epsilon_at_1e-5", "float", "ε of the same releases at δ = 1e-5, by PLD: comparable across different δ"),
    Field("neighbouring", "str", "neighbouring relation of the guarantee"),
    Field("accountant", "str", "accountant that computed ε"),
    Field("accounting", "str", f"'verified', 'unverified' if records were accessed outside mechanisms, or '{CLAIMED}'"),
    Field("noise", "str", "'secret' | 'reproducible' (tests only) | '' if no noise was drawn"),
    Field("tuning", "str", "data that the settings were tuned on"),
    Field("preset", "str", "preset that the settings started from"),
    Field("seed", "int", "experiment seed; it never determines the privacy noise"),
    Field("config", "str", "all settings, as JSON"),
    Field("public_source", "str", "public images used"),
    Field("public_fingerprint", "str", "hash of the public images"),
    Field("parameters_private", "int", "generator parameters trained on private data"),
    Field("parameters_total", "int", "generator parameters"),
    Field("queries", "int", "DP releases spent: one for a noisy sum, one for every step of DP-SGD"),
)
"""Columns before the metrics."""

PROTOCOL = (
    Field("n_samples", "int", "synthetic images scored"),
    Field("n_reference", "int", "real images that they were compared with"),
    Field("extractor", "str", "feature extractors, their weights and resizing"),
    Field("protocol", "str", "everything else that the scores depend on, as JSON"),
)
"""The evaluation protocol: rows that differ in it are never ranked against each other."""

CIRCUMSTANCES = (
    Field("seconds_prepare", "float", "public pretraining (near 0 if cached)"),
    Field("seconds_fit", "float", "private phase, since the last interruption if there was one"),
    Field("seconds_sample", "float", "sampling"),
    Field("seconds_evaluate", "float", "scoring"),
    Field("peak_memory_mb", "float", "peak device memory; on a CPU, peak memory of the process so far"),
    Field("device", "str", "device that the trial ran on"),
    Field("computed_in", "str", "precision of the models: 'fp32' | 'bf16'"),
    Field("dpbench_version", "str", "version of dpbench"),
    Field("git_commit", "str", "commit of dpbench, if it runs from a repository"),
    Field("date", "str", "time at which the trial was sampled, UTC"),
    Field("key", "str", "hash of everything that defines the trial; its folder's name"),
    Field("notes", "str", "reasons for empty cells, and caveats about the scores"),
)
"""Columns after the metrics."""

FIELDS = IDENTITY + PROTOCOL + CIRCUMSTANCES

CI95 = "_ci95"
"""Suffix of the column with the half-width of a score's 95% interval: over seeds if there are several (Student's t),
over images otherwise (bootstrap)."""

DERIVED = ("seeds", "rank", "order")
"""Columns that the aggregate over seeds and the table add."""

RESERVED = frozenset({*(f.name for f in FIELDS), *DERIVED})
"""Columns that no metric may fill: a metric that filled `epsilon_spent` would misstate the spent budget."""


def is_reserved(name: str) -> bool:
    """Whether a score of that name would fill a reserved column or a column of intervals."""
    return name in RESERVED or name.endswith(CI95)


def column_names(metrics: Sequence[Column], scored: Iterable[str] = ()) -> list[str]:
    """All column names in order.

    Args:
        metrics: the columns of the known metrics.
        scored: names of the scores found; those of unknown metrics follow the known columns.
    """
    known = [column.name for column in metrics]
    others = sorted(name for name in set(scored) - set(known) if not name.endswith(CI95))
    with_intervals = [part for name in known + others for part in (name, name + CI95)]
    return [f.name for f in IDENTITY] + with_intervals + [f.name for f in PROTOCOL + CIRCUMSTANCES]


def make_row(trial: Mapping[str, Any], scores: Mapping[str, Any]) -> dict[str, Any]:
    """The leaderboard row of a trial: column name -> value, None for an empty cell.

    Args:
        trial: the content of trial.json, whose keys are column names.
        scores: the content of scores.json: values, ci95, missing, protocol, caveats, seconds.

    Raises:
        KeyError, TypeError, ValueError: an argument is damaged, or a score would fill a reserved column.
    """
    if taken := sorted(filter(is_reserved, {**scores["values"], **scores["ci95"]})):
        raise ValueError(f"the scores fill reserved columns: {', '.join(taken)}")
    protocol = dict(scores["protocol"])
    if protocol.pop("n_train", trial["n_train"]) != trial["n_train"]:
        raise ValueError("the scores belong to another dataset")
    earlier = {
        "variant": None,
        "queries": None,
        "mu": None,
        "epsilon_at_1e-5": None,
        "computed_in": trial.get("precision"),
    }  # columns that earlier versions did not have
    trial = {**earlier, **trial}
    if trial["accounting"] == "unverified":  # earlier versions stored the values of the plan
        trial |= dict.fromkeys(("epsilon_spent", "epsilon_rdp", "mu", "epsilon_at_1e-5"))
    row: dict[str, Any] = {f.name: trial[f.name] for f in IDENTITY}
    row["config"] = json.dumps(trial["config"], ensure_ascii=False)
    row |= {name: None if value is None else float(value) for name, value in scores["values"].items()}
    row |= {name + CI95: float(half) for name, half in scores["ci95"].items()}
    row |= {f.name: protocol.pop(f.name, None) for f in PROTOCOL[:-1]}
    row["protocol"] = json.dumps(protocol, sort_keys=True, ensure_ascii=False) if protocol else ""
    row |= {f.name: trial.get(f.name) for f in CIRCUMSTANCES}
    row["seconds_evaluate"] = sum(scores["seconds"].values())
    unverified = [f"accounting unverified: {reason}" for reason in trial.get("unverified", [])]
    remarks = trial.get("remarks", [])
    row["notes"] = "; ".join(dict.fromkeys([*unverified, *remarks, *_reasons(scores["missing"]), *scores["caveats"]]))
    return row | {f.name: _typed(row[f.name], f) for f in FIELDS}


def _reasons(missing: Mapping[str, str]) -> Iterable[str]:
    """One text per reason for empty cells: "accuracy, accuracy_cnn: the dataset has no classes"."""
    groups: dict[str, list[str]] = {}
    for column, reason in missing.items():
        groups.setdefault(reason, []).append(column)
    return (f"{', '.join(columns)}: {reason}" for reason, columns in groups.items())


def _typed(value: Any, field: Field) -> Any:
    if value is None:
        return "" if field.type == "str" else None
    return {"str": str, "int": int, "float": float}[field.type](value)
