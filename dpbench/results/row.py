"""The leaderboard's columns: what a row says about a trial, in which order, and what each column means."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from dpbench.core.metric import Column


class Field(NamedTuple):
    """One column that is no metric."""

    name: str
    type: Literal["str", "int", "float"]
    help: str


CLAIMED = "claimed, unverified"
"""The accounting of images that dpbench did not make."""

IDENTITY = (
    Field("method", "str", "method; 'real' for real images scored as if synthetic, a name for images from elsewhere"),
    Field("variant", "str", "settings changed relative to the preset, e.g. 'codes=128,steps=50'"),
    Field("reference", "str", "'' | 'real' | 'public' (ε = 0) | 'nonprivate' (ε = ∞) | 'external' (made elsewhere)"),
    Field("method_version", "str", "version of the method's code"),
    Field("track", "str", "public knowledge used: 'none' | 'images' | 'foundation'"),
    Field("dataset", "str", "sensitive dataset"),
    Field("dataset_fingerprint", "str", "hash of train (keyed with a secret unless the dataset is public)"),
    Field("resolution", "int", "height and width in pixels"),
    Field("n_train", "int", "records of the sensitive split"),
    Field("epsilon", "float", "ε asked for, or claimed; 0: nothing private, inf: no noise"),
    Field("delta", "float", "δ asked for, or claimed"),
    Field("epsilon_spent", "float", "ε of everything released, by PLD; empty where the accounting is unverified"),
    Field("epsilon_rdp", "float", "ε of the same releases by Rényi accounting"),
    Field("mu", "float", "μ of the same releases by Gaussian DP: comparable at any δ (below 1e-10 nothing is said)"),
    Field("epsilon_at_1e-5", "float", "ε of the same releases at δ = 1e-5, by PLD: comparable between different δ"),
    Field("neighbouring", "str", "neighbouring relation of the guarantee"),
    Field("accountant", "str", "accountant that ε is stated by"),
    Field("accounting", "str", f"'verified', 'unverified' if records were touched outside mechanisms, or '{CLAIMED}'"),
    Field("noise", "str", "'secret' | 'reproducible' (tests only) | '' where no noise was drawn"),
    Field("tuning", "str", "what the settings were tuned on"),
    Field("preset", "str", "preset that the settings started from"),
    Field("seed", "int", "experiment seed; the privacy noise never depends on it"),
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
    Field("n_reference", "int", "real images they were compared with"),
    Field("extractor", "str", "feature extractors, their weights and resizing"),
    Field("protocol", "str", "whatever else the scores depend on, as JSON"),
)
"""What scores depend on besides the images: rows that differ in it are never ranked against each other."""

CIRCUMSTANCES = (
    Field("seconds_prepare", "float", "public pretraining (near 0 when it came from the cache)"),
    Field("seconds_fit", "float", "private phase; since the last interruption, if there was one"),
    Field("seconds_sample", "float", "sampling"),
    Field("seconds_evaluate", "float", "scoring"),
    Field("peak_memory_mb", "float", "peak of device memory, on a CPU of the process's memory so far"),
    Field("device", "str", "where it ran"),
    Field("computed_in", "str", "what models computed in: 'fp32' | 'bf16'"),
    Field("dpbench_version", "str", "version of dpbench"),
    Field("git_commit", "str", "commit of dpbench, where it runs from a repository"),
    Field("date", "str", "when the trial was sampled, UTC"),
    Field("key", "str", "hash of everything that defines the trial; its folder's name"),
    Field("notes", "str", "reasons for empty cells, and what to know when reading the others"),
)
"""Columns after the metrics."""

FIELDS = IDENTITY + PROTOCOL + CIRCUMSTANCES

CI95 = "_ci95"
"""Ends the column beside a score that holds half the width of its 95% interval: over seeds where there are several
(Student's t), over images otherwise (bootstrap)."""

DERIVED = ("seeds", "rank", "order")
"""Columns of the view over seeds and of the table, made from rows."""

RESERVED = frozenset({*(f.name for f in FIELDS), *DERIVED})
"""Columns that are no metric's: one that filled `epsilon_spent` would say what a trial spent."""


def is_reserved(name: str) -> bool:
    """Whether a score of that name would stand in a column that is no metric's: the row's own, or an interval's."""
    return name in RESERVED or name.endswith(CI95)


def column_names(metrics: Sequence[Column], scored: Iterable[str] = ()) -> list[str]:
    """All column names in order.

    Args:
        metrics: the columns of the known metrics.
        scored: names found in scores; those of metrics that are not loaded now follow the known ones.
    """
    known = [column.name for column in metrics]
    others = sorted(name for name in set(scored) - set(known) if not name.endswith(CI95))
    with_intervals = [part for name in known + others for part in (name, name + CI95)]
    return [f.name for f in IDENTITY] + with_intervals + [f.name for f in PROTOCOL + CIRCUMSTANCES]


def make_row(trial: Mapping[str, Any], scores: Mapping[str, Any]) -> dict[str, Any]:
    """One leaderboard line: column name -> value, None where there is nothing to say.

    Args:
        trial: the content of trial.json, whose keys are column names.
        scores: the content of scores.json: values, ci95, missing, protocol, caveats, seconds.

    Raises:
        KeyError, TypeError, ValueError: one of them is damaged, or a score would stand in a column that is not its own.
    """
    if taken := sorted(filter(is_reserved, {**scores["values"], **scores["ci95"]})):
        raise ValueError(f"the scores name columns that are no metric's: {', '.join(taken)}")
    protocol = dict(scores["protocol"])
    if protocol.pop("n_train", trial["n_train"]) != trial["n_train"]:
        raise ValueError("the scores belong to another dataset")
    earlier = {
        "variant": None,
        "queries": None,
        "mu": None,
        "epsilon_at_1e-5": None,
        "computed_in": trial.get("precision"),
    }  # columns younger than some trials
    trial = {**earlier, **trial}
    if trial["accounting"] == "unverified":  # earlier versions gave the plan's
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
    """One reason per group of empty cells: "accuracy, accuracy_cnn: the dataset has no classes"."""
    groups: dict[str, list[str]] = {}
    for column, reason in missing.items():
        groups.setdefault(reason, []).append(column)
    return (f"{', '.join(columns)}: {reason}" for reason, columns in groups.items())


def _typed(value: Any, field: Field) -> Any:
    if value is None:
        return "" if field.type == "str" else None
    return {"str": str, "int": int, "float": float}[field.type](value)
