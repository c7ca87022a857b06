"""The real row of a run: one per number of samples, without what rule R9 forbids."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import events
import pandas as pd
import pytest

import dpbench
from dpbench.core.files import read_json


def run(out: Path, **options: Any) -> pd.DataFrame:
    defaults = {
        "dataset": "tiny", "epsilons": (), "samples": 30, "public": "tiny-public", "delta": 1e-6,
        "metrics": ["brightness"], "references": ["real"],
    }  # fmt: skip
    return dpbench.run("fake", out=out, device="cpu", **(defaults | options))


def test_real_row_belongs_to_a_number_of_samples(tiny: Path) -> None:
    for samples in (30, 20, 500, 30):
        row = run(tiny, samples=samples).iloc[0]
        assert row["n_samples"] == min(samples, 100)  # half of train
        assert ("half of train" in " ".join(row["notes"])) == (samples == 500)
    assert events.EVENTS.count("brightness") == 3


def test_real_row_of_undeclared_data_hides_what_reads_train(tiny: Path) -> None:
    row = run(tiny, dataset="tiny:secret", metrics=["brightness", "familiar"]).iloc[0]
    assert (row["n_samples"], row["n_reference"]) == (20, 20)
    assert math.isfinite(row["brightness"])
    assert math.isnan(row["familiar"])
    assert "sensitive/" in " ".join(row["notes"])
    (real,) = tiny.glob("*/real/*")
    assert read_json(real / "sensitive/scores.json")["values"]["familiar"] > 0


def test_real_row_of_before_is_left_as_it_is(tiny: Path) -> None:
    rows = run(tiny, epsilons=(1.0,))
    (path,) = tiny.glob("tiny/real/*/trial.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"config": {}, "method_version": "1"}))
    with pytest.warns(UserWarning, match="left as it is: .* halves of test"):
        scored = dpbench.evaluate_all(tiny, ["classy"], device="cpu")
    assert scored["key"].tolist() == rows["key"][rows["reference"] == ""].tolist()
    found = pd.read_csv(tiny / "leaderboard.csv").fillna({"reference": ""}).set_index("reference")
    assert found["brightness"].notna().all()
    assert found["classy"].notna().to_dict() == {"": True, "real": False}
