"""Evaluation protocols: the metrics that they add, and their number of samples."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import dpbench
from dpbench.benchmark.protocols import PROTOCOLS, EvaluationProtocol
from dpbench.benchmark.request import RunRequest
from dpbench.benchmark.trials.scoring import chosen_metrics
from dpbench.core.errors import UnknownName
from dpbench.core.registries import METRICS


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROTOCOLS, "theirs", EvaluationProtocol(20, ("classy",)))


def run(out: Path, **options: object) -> pd.DataFrame:
    return dpbench.run(
        "fake", "tiny", public="tiny-public", delta=1e-6, references=(), out=out, device="cpu", **options
    )


def test_metrics_of_a_protocol_are_not_computed_by_default() -> None:
    for protocol in PROTOCOLS.values():
        assert [name for name in protocol.metrics if METRICS.get(name).default] == []


def test_slow_classifiers_are_in_no_protocol() -> None:
    assert all("accuracy-paper" not in protocol.metrics for protocol in PROTOCOLS.values())


def test_the_number_of_samples_is_the_protocols_unless_it_is_given() -> None:
    assert RunRequest().samples == 10_000
    assert RunRequest(protocol="dpimagebench").samples == 60_000
    assert RunRequest(protocol="dpimagebench", samples=10_000).samples == 10_000


def test_unknown_protocol_error_suggests_the_nearest() -> None:
    with pytest.raises(UnknownName, match="unknown protocol 'dpimagebnch'; did you mean dpimagebench"):
        RunRequest(protocol="dpimagebnch")


def test_a_run_computes_its_metrics_beside_the_named_ones(tiny: Path, theirs: None) -> None:
    (row,) = run(tiny, metrics=["brightness"], protocol="theirs").to_dict("records")
    assert row["n_samples"] == 20
    assert pd.notna(row["brightness"])
    assert pd.notna(row["classy"])


def test_without_other_metrics_a_run_computes_its_own_alone(tiny: Path, theirs: None) -> None:
    assert chosen_metrics(RunRequest(metrics="none", protocol="theirs")) == ["classy"]


def test_evaluate_all_adds_them_to_finished_trials(tiny: Path, theirs: None) -> None:
    assert run(tiny, metrics=["brightness"], samples=30)["classy"].isna().all()
    rows = dpbench.evaluate_all(tiny, ["brightness"], protocol="theirs", device="cpu")
    assert rows["classy"].notna().all()
