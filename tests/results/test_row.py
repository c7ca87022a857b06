"""The row of a trial."""

from __future__ import annotations

import json

from rows import frame, scores, trial


def test_extractors_are_those_of_the_present_scores() -> None:
    used = {"metric": "v1", "extractors": "inception@new; haar"}
    stored = scores(accuracy_protocol=used, extractor="inception@old")  # as earlier versions wrote it
    row = frame((trial(), stored)).iloc[0]
    assert row["extractor"] == "haar; inception@new"
    assert set(json.loads(row["protocol"])) == {"accuracy", "fwd"}
