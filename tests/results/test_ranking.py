"""Ranks: what is compared with what, and what counts as better."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rows import ACCURACY, FWD, frame, scores, trial

from dpbench.core.files import write_json
from dpbench.core.metric import Column
from dpbench.core.outcomes import Measured, Packed
from dpbench.results.over_seeds import aggregate, trials_of
from dpbench.results.ranking import rank, read_outcomes
from dpbench.results.trial_folder import TrialFolder


@pytest.mark.parametrize(
    "other",
    [
        (trial(dataset="e"), scores()),
        (trial(dataset_fingerprint="other content"), scores()),
        (trial(epsilon=2), scores()),
        (trial(delta=0.1), scores()),
        (trial(track="none"), scores()),
        (trial(resolution=64), scores()),
        (trial(), scores(n_samples=99)),
        (trial(), scores(n_reference=99)),
        (trial(), scores(reference="other images")),
        (trial(), scores(accuracy_protocol="v2")),
    ],
)
def test_rows_with_different_protocols_are_ranked_separately(other: tuple[Any, Any]) -> None:
    lines = aggregate(frame((trial(method="a"), scores(accuracy=0.9)), other))
    assert rank(lines, ACCURACY, "accuracy").tolist() == [1, 1]


def test_protocols_of_other_metrics_do_not_affect_ranking() -> None:
    other = (trial(method="b"), scores(accuracy=0.8, fwd_protocol={"extractors": "haar packets level 3"}))
    lines = aggregate(frame((trial(method="a"), scores(accuracy=0.9)), other))
    assert rank(lines, ACCURACY, "accuracy").tolist() == [1, 2]
    assert rank(lines, FWD, "fwd").tolist() == [1, 1]


def test_ranks_follow_the_direction_of_the_metric() -> None:
    lines = aggregate(frame(*((trial(method=m), scores(accuracy=a, fwd=a)) for m, a in [("a", 0.2), ("b", 0.9)])))
    assert rank(lines, ACCURACY, "accuracy").tolist() == [2, 1]
    assert rank(lines, FWD, "fwd").tolist() == [1, 2]


@pytest.mark.parametrize(
    "change", [{"reference": "nonprivate"}, {"accounting": "unverified"}, {"noise": "reproducible"}]
)
def test_references_and_untrusted_rows_are_not_ranked(change: dict[str, str]) -> None:
    lines = aggregate(frame((trial(), scores()), (trial(method="b", **change), scores(accuracy=0.9))))
    assert rank(lines, ACCURACY, "accuracy").fillna(0).tolist() == [1, 0]


def ranked(by: Any, *values: tuple[float, float]) -> list[int]:
    """The ranks of rows with these (score, half of the interval)."""
    rows = [(trial(method=f"m{n}"), scores(accuracy=value, fwd=value)) for n, (value, _) in enumerate(values)]
    for (_, scored), (_, half) in zip(rows, values, strict=True):
        scored["ci95"] = {"accuracy": half, "fwd": half}
    return rank(aggregate(frame(*rows)), by, by.name).tolist()


def test_a_row_is_behind_those_that_are_better_by_more_than_both_intervals() -> None:
    close, wide = [(0.80, 0.03), (0.84, 0.04)], [(0.80, 0.03), (0.86, 0.04)]  # the root of 0.03² + 0.04² is 0.05
    assert ranked(ACCURACY, *close) == [1, 1]
    assert ranked(ACCURACY, *wide) == [2, 1]
    assert ranked(FWD, *wide) == [1, 2]
    assert ranked(ACCURACY, *wide, (0.84, 0.04)) == [2, 1, 1]


def test_rows_without_intervals_are_ranked_by_their_values() -> None:
    assert ranked(ACCURACY, (0.5, np.nan), (0.6, np.nan), (0.5, np.nan)) == [2, 1, 2]


def right(rng: np.random.Generator, share: float, ease: np.ndarray) -> np.ndarray:
    return rng.random((3, 3, len(ease))) < np.clip(share + ease, 0, 1)


def stored(out: Path, method: str, outcomes: np.ndarray, seed: int = 0, damage: str = "") -> tuple[Any, Any]:
    """A trial with stored outcomes, and its scores."""
    record = trial(method=method, seed=seed, key=f"{method}{seed}")
    value, half = Measured(outcomes).estimate()
    packed = vars(Packed.of(outcomes))
    scored = scores(accuracy=value, ci95=half, n_reference=outcomes.shape[2])
    folder = TrialFolder.of(out, "d", method, record.key)
    write_json(
        folder.path / "scores.json", {**scored, "outcomes": {"accuracy": packed | {"bits": damage or packed["bits"]}}}
    )
    return record, scored


def ranks(out: Path, rows: list[tuple[Any, Any]], by: Column = ACCURACY) -> list[int]:
    made = frame(*rows)
    made = made.assign(folder=str(out / "d") + "/" + made["method"] + "/" + made["key"], outcomes="accuracy")
    lines = aggregate(made).assign(trials=trials_of(made))
    return rank(lines, by, "accuracy", read_outcomes(made, lines, by)).tolist()


def test_accuracies_are_compared_on_the_same_test_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ease = rng.choice([-0.5, 0.5], 2000)
    rows = [stored(tmp_path, name, right(rng, share, ease)) for name, share in (("a", 0.5), ("b", 0.52), ("c", 0.5))]
    assert rank(aggregate(frame(*rows)), ACCURACY, "accuracy").tolist() == [1, 1, 1]
    assert ranks(tmp_path, rows) == [2, 1, 2]
    assert ranks(tmp_path, rows, Column("accuracy", "low", "")) == [1, 3, 1]


def test_trials_that_differ_make_a_difference_insignificant(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ease = rng.choice([-0.5, 0.5], 2000)
    shares = {"a": (0.4, 0.6), "b": (0.42, 0.62)}
    rows = [stored(tmp_path, m, right(rng, s, ease), seed) for m, each in shares.items() for seed, s in enumerate(each)]
    assert ranks(tmp_path, rows[::2]) == [2, 1]
    assert ranks(tmp_path, rows) == [1, 1]


def test_outcomes_of_other_scores_and_damaged_ones_are_not_used(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ease = rng.choice([-0.5, 0.5], 2000)
    rows = [stored(tmp_path, "a", right(rng, 0.5, ease)), stored(tmp_path, "b", right(rng, 0.52, ease), damage="AAAA")]
    with pytest.warns(UserWarning, match="damaged"):
        assert ranks(tmp_path, rows) == [1, 1]
    rows[1] = stored(tmp_path, "b", right(rng, 0.52, ease))
    rows[1][1]["values"]["accuracy"] += 1e-6
    assert ranks(tmp_path, rows) == [1, 1]
