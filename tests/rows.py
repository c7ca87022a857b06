"""Made-up trials, their scores, and leaderboard rows of both."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dpbench.core.metric import Column
from dpbench.results.leaderboard_rows import make_frame
from dpbench.results.record import TrialRecord
from dpbench.results.row import make_row
from dpbench.results.stored_scores import StoredScores

ACCURACY = Column("accuracy", "high", "")
FWD = Column("fwd", "low", "")


def trial(**changes: Any) -> TrialRecord:
    """A private trial of method "m" on dataset "d"."""
    fixed: dict[str, Any] = {
        "method": "m", "reference": "", "method_version": "1", "method_source": "x", "source_hash": "x",
        "track": "images", "dataset": "d",
        "dataset_fingerprint": "x", "resolution": 32, "channels": 3, "classes": None, "caption_bytes": 0,
        "public_benchmark": True,
        "n_train": 1, "n_test": 1, "epsilon": 1.0, "delta": 0.5, "epsilon_spent": 0.5, "epsilon_rdp": 0.5, "mu": 0.5,
        "epsilon_at_second_delta": 0.5, "neighbouring": "x", "accountant": "x", "accounting": "verified",
        "noise": "secret", "tuning": "x", "preset": "x", "seed": 0, "config": {}, "public_source": "x",
        "public_fingerprint": "x", "pretrained": "", "parameters_private": 1, "parameters_total": 1, "queries": 1,
        "seconds_prepare": 0.5, "seconds_fit": 0.5, "seconds_sample": 0.5, "peak_memory_mb": 0.5, "device": "x",
        "computed_in": "x", "dpbench_version": "x", "git_commit": "x", "date": "x", "key": "x", "request": {},
    }  # fmt: skip
    return TrialRecord(**(fixed | changes))


def scores(
    accuracy: float | None = 0.5, fwd: float | None = 2.0, ci95: float | None = None, **protocol: Any
) -> dict[str, Any]:
    return {
        "values": {"accuracy": accuracy, "fwd": fwd},
        "missing": {} if accuracy is not None else {"accuracy": "no classes"},
        "protocol": {
            "n_samples": 100,
            "n_reference": 50,
            "fwd": {"metric": "v1", "extractors": "haar"},
            "accuracy": "v1",
            **{name.removesuffix("_protocol"): value for name, value in protocol.items()},
        },
        "caveats": [],
        "seconds": {"fwd": 1.5},
        "ci95": {} if ci95 is None else {"accuracy": ci95},
        "scored": {"fwd": {"date": "x", "version": "x", "commit": "x"}},
    }


def frame(*rows: tuple[TrialRecord, dict[str, Any]]) -> pd.DataFrame:
    return make_frame(
        [make_row(t, StoredScores(**s)) | {"folder": t.key, "outcomes": ""} for t, s in rows], [ACCURACY, FWD]
    )
