"""Made-up trials, their scores, and leaderboard rows of both."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dpbench.core.metric import Column
from dpbench.results.gathering import make_frame
from dpbench.results.row import FIELDS, make_row

ACCURACY = Column("accuracy", "high", "")
FWD = Column("fwd", "low", "")
KINDS = {"str": "x", "int": 1, "float": 0.5}


def trial(**changes: Any) -> dict[str, Any]:
    fields = {f.name: KINDS[f.type] for f in FIELDS}
    fixed = {
        "method": "m",
        "variant": "",
        "reference": "",
        "track": "images",
        "dataset": "d",
        "epsilon": 1.0,
        "resolution": 32,
    }
    return fields | fixed | {"accounting": "verified", "noise": "secret", "config": {}, "seed": 0} | changes


def scores(
    accuracy: float | None = 0.5, fwd: float | None = 2.0, ci95: float | None = None, **protocol: Any
) -> dict[str, Any]:
    return {
        "values": {"accuracy": accuracy, "fwd": fwd},
        "missing": {} if accuracy is not None else {"accuracy": "no classes"},
        "protocol": {
            "n_samples": 100,
            "n_reference": 50,
            "extractor": "haar",
            "fwd": "haar",
            "accuracy": "v1",
            **{name.removesuffix("_protocol"): value for name, value in protocol.items()},
        },
        "caveats": [],
        "seconds": {"fwd": 1.5},
        "ci95": {} if ci95 is None else {"accuracy": ci95},
    }


def frame(*rows: tuple[dict[str, Any], dict[str, Any]]) -> pd.DataFrame:
    return make_frame([make_row(t, s) for t, s in rows], [ACCURACY, FWD])
