"""What is drawn where."""

from __future__ import annotations

import math

import pytest
from rows import ACCURACY, FWD, frame, scores, trial

from dpbench.core.errors import DpbenchError
from dpbench.results.comparable import series_of
from dpbench.results.figures.score_figures import COST_NAMES, by_cost, by_epsilon, by_method
from dpbench.results.over_seeds import aggregate
from dpbench.results.row import COSTS

ROWS = frame(
    (trial(method="real", reference="real", epsilon=None), scores(0.95, ci95=0.01)),
    (trial(epsilon=0.0, reference="public"), scores(0.1)),
    (trial(epsilon=1.0, seconds_fit=5.0), scores(0.6, ci95=0.05)),
    (trial(epsilon=10.0, seconds_fit=50.0), scores(0.8, ci95=0.05)),
    (trial(epsilon=math.inf, reference="nonprivate"), scores(0.9)),
    (trial(method="n", epsilon=1.0, seconds_fit=500.0), scores(None)),
)
LINES = aggregate(ROWS)
LINES = LINES.assign(series=series_of(LINES))


def test_scores_by_epsilon_join_private_rows_alone() -> None:
    first, second = by_epsilon(LINES, [ACCURACY, FWD]).axes
    assert [axis.get_ylabel() for axis in (first, second)] == ["accuracy ↑", "fwd ↓"]
    assert [tick.get_text() for tick in first.get_xticklabels()] == ["public", "1", "10", "∞"]
    line = first.lines[0]
    assert line.get_ydata().tolist() == [0.6, 0.8]
    assert sorted(first.get_xticks()) == list(first.get_xticks())
    assert line.get_xdata().tolist() == first.get_xticks()[1:3].tolist()
    legend = first.figure.legends[0]
    assert {text.get_text() for text in legend.get_texts()} == {"m", "n", "real images"}


def test_scores_by_method_have_a_line_per_method() -> None:
    (axes,) = by_method(LINES, [ACCURACY]).axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["m", "n"]
    assert axes.get_xlabel() == "accuracy ↑"


def test_long_names_leave_room_for_their_scores() -> None:
    figure = by_method(LINES.assign(series="dp-method [steps=50,features=200,batch=1000]"), [ACCURACY])
    figure.draw_without_rendering()
    (axes,) = figure.axes
    assert axes.get_position().width * figure.get_figwidth() > 2
    assert axes.get_tightbbox().x0 >= 0


def test_scores_by_cost_name_their_budget() -> None:
    (axes,) = by_cost(LINES, [ACCURACY], "seconds_fit").axes
    assert axes.get_xlabel() == "private training (s)"
    assert {text.get_text() for text in axes.texts} == {"ε=0", "ε=1", "ε=10", "ε=∞"}


def test_rows_without_a_claimed_epsilon_are_drawn_or_named() -> None:
    claims = frame((trial(), scores(0.6)), (trial(method="theirs", reference="external", epsilon=None), scores(0.7)))
    lines = aggregate(claims)
    lines = lines.assign(series=series_of(lines))
    (axes,) = by_method(lines, [ACCURACY]).axes
    assert {text.get_text() for text in axes.figure.legends[0].get_texts()} == {"ε = 1", "no ε claimed"}
    assert sorted(container[0].get_xdata().tolist() for container in axes.containers) == [[0.6], [0.7]]
    (axes,) = by_cost(lines, [ACCURACY], "seconds_fit").axes
    assert [text.get_text() for text in axes.texts] == ["ε=1"]
    with pytest.warns(UserWarning, match="left out: no ε is claimed for theirs; `dpbench plot method` draws them"):
        by_epsilon(lines, [ACCURACY])
    with pytest.raises(DpbenchError, match="nothing to draw by ε: no ε is claimed for theirs"):
        by_epsilon(lines[lines["method"] == "theirs"], [ACCURACY])


def test_every_cost_of_a_row_has_a_name() -> None:
    assert list(COST_NAMES) == COSTS


def test_nothing_to_draw_is_an_error() -> None:
    with pytest.raises(DpbenchError, match="no row has a value of accuracy"):
        by_epsilon(LINES[LINES["method"] == "n"], [ACCURACY])
    with pytest.raises(DpbenchError, match="no row has a cost in queries"):
        by_cost(LINES.assign(queries=float("nan")), [ACCURACY], "queries")
