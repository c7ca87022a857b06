"""Aggregation over seeds: which trials belong together, means, intervals and missing scores."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rows import frame, scores, trial
from scipy import stats

from dpbench.results.leaderboard_rows import write_csv
from dpbench.results.over_seeds import aggregate, mean_and_ci95, trials_of


@pytest.mark.parametrize("values", [[0.7, 0.8], [0.71, 0.74, 0.79, 0.7]])
def test_interval_over_seeds_uses_student_t(values: list[float]) -> None:
    mean, half = mean_and_ci95(values)
    low, high = stats.t.interval(0.95, len(values) - 1, loc=mean, scale=stats.sem(values))
    assert (mean - half, mean + half) == (pytest.approx(low), pytest.approx(high))


def test_seeds_of_a_configuration_are_aggregated() -> None:
    rows = frame(
        (trial(seed=0), scores(accuracy=0.6)),
        (trial(seed=1), scores(accuracy=0.8)),
        (trial(seed=0, config={"steps": 2}), scores()),
    )
    lines = aggregate(rows)
    assert lines["seeds"].tolist() == [2, 1]
    assert lines["accuracy"].tolist() == [pytest.approx(0.7), 0.5]
    assert lines["accuracy_ci95"].isna().tolist() == [False, True]


def test_interval_is_over_images_for_one_seed_and_over_seeds_for_several() -> None:
    alone = frame((trial(seed=0), scores(0.6, ci95=0.02)))
    assert alone["accuracy_ci95"].tolist() == [0.02]
    assert aggregate(alone)["accuracy_ci95"].tolist() == [0.02]
    both = aggregate(frame((trial(seed=0), scores(0.6, ci95=0.02)), (trial(seed=1), scores(0.8, ci95=0.02))))
    assert both["accuracy_ci95"].tolist() == [pytest.approx(mean_and_ci95([0.6, 0.8])[1])]


def test_seeds_of_different_variants_are_not_averaged() -> None:
    rows = frame(
        (trial(seed=0, config={"steps": 1}), scores(accuracy=0.6)),
        (trial(seed=1, config={"steps": 2}, variant="steps=2"), scores(accuracy=0.8)),
    )
    lines = aggregate(rows)
    assert lines["seeds"].tolist() == [1, 1]
    assert lines["variant"].tolist() == ["", "steps=2"]


def test_no_rows_are_aggregated_to_none(tmp_path: Path) -> None:
    write_csv(aggregate(frame()), tmp_path / "a.csv")
    assert len(pd.read_csv(tmp_path / "a.csv")) == 0


def test_a_score_that_some_seeds_lack_has_no_mean() -> None:
    rows = frame(*((trial(seed=seed), scores(value)) for seed, value in enumerate([0.6, None, 0.8])))
    line = aggregate(rows).iloc[0]
    assert math.isnan(line["accuracy"])
    assert math.isnan(line["accuracy_ci95"])
    assert (line["fwd"], line["fwd_ci95"], line["seeds"]) == (2, 0, 3)
    assert line["notes"] == ("accuracy: no classes", "accuracy: no mean, as only 2 of 3 seeds have a value")
    assert all(math.isnan(value) for value in mean_and_ci95([]))


def with_metrics(**values: float) -> dict[str, Any]:
    """Scores of these metrics alone."""
    found = scores()
    shared = {"n_samples": 100, "n_reference": 50, "reference": "test"}
    own = {name: {"extractors": name} for name in values}
    return {**found, "values": values, "missing": {}, "protocol": shared | own}


def test_seeds_scored_with_different_metrics_are_one_line() -> None:
    first = (trial(seed=0), with_metrics(accuracy=0.6, fwd=1.0))
    line = aggregate(frame(first, *((trial(seed=seed), with_metrics(fwd=2.0)) for seed in (1, 2)))).iloc[0]
    assert (line["seeds"], line["fwd"]) == (3, pytest.approx(5 / 3))
    assert math.isnan(line["accuracy"])
    assert line["notes"] == ("accuracy: no mean, as only 1 of 3 seeds have a value",)
    assert line["extractor"] == "accuracy; fwd"
    assert json.loads(line["protocol"]) == {
        "accuracy": {"extractors": "accuracy"},
        "fwd": {"extractors": "fwd"},
        "reference": "test",
    }


@pytest.mark.parametrize(("name", "other"), [("fwd", "accuracy"), ("plugin_column", "fwd")])
def test_scores_under_different_protocols_have_no_mean(name: str, other: str) -> None:
    rows = [(trial(seed=seed), with_metrics(**{name: 1.0, other: 2.0})) for seed in range(3)]
    rows[2][1]["protocol"][name] = "v2"
    line = aggregate(frame(*rows)).iloc[0]
    assert (line["seeds"], line[other]) == (3, 2.0)
    assert math.isnan(line[name])
    assert math.isnan(line[name + "_ci95"])
    assert line["notes"] == (f"{name}: no mean, as its protocol differs between seeds",)
    assert json.loads(line["protocol"]) == {other: {"extractors": other}, "reference": "test"}


def test_scores_against_other_real_images_are_another_line() -> None:
    rows = [(trial(seed=seed), with_metrics(fwd=1.0)) for seed in range(2)]
    rows[1][1]["protocol"]["reference"] = "other images"
    assert aggregate(frame(*rows))["seeds"].tolist() == [1, 1]


def test_seeds_that_chose_other_public_images_are_one_line() -> None:
    rows = frame(
        *((trial(seed=seed, public_source="auto:a,b", public_choice=name), scores()) for seed, name in enumerate("ab"))
    )
    assert aggregate(rows)["seeds"].tolist() == [2]


def test_lines_say_what_their_interval_covers_and_what_they_cost() -> None:
    rows = frame(
        (trial(seed=0, seconds_fit=1.0, queries=7), scores()),
        (trial(seed=1, seconds_fit=4.0, queries=7), scores()),
        (trial(method="b"), scores()),
    )
    lines = aggregate(rows)
    assert lines["interval"].tolist() == ["seeds", "images"]
    assert lines["seconds_fit"].tolist() == [2.5, 0.5]
    assert lines["queries"].tolist() == [7, 1]


def test_lines_know_the_folders_of_their_trials() -> None:
    rows = frame((trial(key="a"), scores()), (trial(key="b", seed=1), scores()), (trial(key="c", method="n"), scores()))
    assert trials_of(rows).tolist() == [("a", "b"), ("c",)]
