"""The files of a trial. Every file is written atomically, and trial.json last.

    OUT/<dataset>/<method>/<key>/
        trial.json  scores.json  ledger.json  model.safetensors  samples/  samples.png  log.txt
        checkpoints/ to resume from, deleted once the trial is sampled
        sensitive/   for undeclared datasets: checkpoints, and everything made from un-noised or unverified records (R9)

After sampling, the content of trial.json is in unscored.json until the trial is scored: a trial interrupted during
scoring is not trained again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dpbench.core.errors import DpbenchError
from dpbench.core.files import digest, read_json, write_json

TRIAL = "trial.json"
UNSCORED = "unscored.json"
SCORES = "scores.json"
SENSITIVE = "sensitive"

RESTORE = "restore it, or run with --force to train on the private data again, as another private run"
"""The remedy for a damaged trial.json."""


def safe_name(name: str) -> str:
    """A folder name for a dataset or method: the name itself if valid, else e.g. "folder:/a/b" -> "folder-b-<hash>"."""
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name):
        return name
    kind, _, argument = name.partition(":")
    words = [re.sub(r"[^A-Za-z0-9_-]+", "-", part).strip("-") for part in (kind, Path(argument).stem)]
    return "-".join([*filter(None, words), digest(name, 6)])


def read_trial(folder: Path, file: str = TRIAL) -> dict[str, Any]:
    """The content of trial.json (or unscored.json).

    Raises:
        DpbenchError: it is missing or damaged.
    """
    try:
        trial = read_json(folder / file)
    except DpbenchError as error:
        raise DpbenchError(f"{error}; {RESTORE}") from error
    if not isinstance(trial, dict) or "key" not in trial:
        raise DpbenchError(f"{folder / file} is damaged; {RESTORE}")
    return trial


def holds(folder: Path, key: str, file: str = TRIAL) -> bool:
    """Whether `folder` holds trial `key`: finished (trial.json) or at least sampled (unscored.json).

    Raises:
        DpbenchError: the file exists but is damaged or belongs to another trial. What was released is then unknown, so
            the trial must not be treated as one that has not run.
    """
    if not os.path.lexists(folder / file):
        return False
    found = read_trial(folder, file)["key"]
    if found != key:
        raise DpbenchError(f"{folder / file} belongs to trial {found}, not to {key}; {RESTORE}")
    return True


def read_scores(folder: Path, all_columns: bool = False) -> dict[str, Any]:
    """The content of scores.json.

    Args:
        all_columns: include the columns kept in the trial's `sensitive/` folder.

    Raises:
        DpbenchError: it is missing or damaged.
    """
    hidden = folder / SENSITIVE / SCORES
    path = hidden if all_columns and hidden.exists() else folder / SCORES
    scores = read_json(path)
    if isinstance(scores, dict):
        scores.setdefault("ci95", {})  # earlier versions did not write it
    parts = {"values": dict, "missing": dict, "protocol": dict, "caveats": list, "seconds": dict, "ci95": dict}
    if not isinstance(scores, dict) or not all(isinstance(scores.get(part), kind) for part, kind in parts.items()):
        raise DpbenchError(f"{path} is damaged; `dpbench evaluate --all` recomputes it from the samples")
    return scores


def write_scores(folder: Path, scores: Mapping[str, Any], hidden: Mapping[str, str]) -> None:
    """Writes scores.json. All scores go to `sensitive/` if any column is hidden; hidden cells here are empty.

    Args:
        folder: the trial's folder.
        scores: the content of scores.json.
        hidden: column -> the reason why it must not be shown.
    """
    if hidden:
        write_json(folder / SENSITIVE / SCORES, scores)
        scores = {
            **scores,
            "values": {name: None if name in hidden else value for name, value in scores["values"].items()},
            "ci95": {name: half for name, half in scores["ci95"].items() if name not in hidden},
            "missing": {**scores["missing"], **hidden},
            "caveats": [],
        }
    write_json(folder / SCORES, scores)
