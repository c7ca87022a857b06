"""Which lines stand in one table, and how they are told apart in figures."""

from __future__ import annotations

from rows import frame, scores, trial

from dpbench.results.comparable import heading_of, marks_of, series_of, tables_of
from dpbench.results.over_seeds import aggregate


def test_tables_differ_in_dataset_and_numbers_of_images() -> None:
    rows = frame(
        (trial(), scores()),
        (trial(method="n"), scores(n_samples=7)),
        (trial(dataset="e"), scores()),
        (trial(method="real", reference="real", config={"samples": 7}), scores(n_samples=20)),
    )
    tables = tables_of(rows)
    assert [table["method"].tolist() for table in tables] == [["m"], ["n", "real"], ["m"]]
    assert heading_of(tables[0]) == "d, 32×32 · 100 samples against 50 real images"
    assert heading_of(tables[1]) == "d, 32×32 · 7 samples against 50 real images"


def test_a_real_row_that_was_compared_with_fewer_images_is_in_the_table_of_the_others() -> None:
    """Real images of an undeclared dataset are compared with the rest of test."""
    real = trial(method="real", reference="real", config={"samples": 100}), scores(n_reference=20)
    (table,) = tables_of(frame(real, (trial(method="wavelet"), scores())))
    assert table["method"].tolist() == ["real", "wavelet"]


def test_series_are_told_apart_where_they_must_be() -> None:
    rows = frame(
        (trial(epsilon=1.0), scores()),
        (trial(epsilon=1.0, preset="gpu"), scores()),
        (trial(method="n", variant="s=1", epsilon=2.0), scores()),
        (trial(epsilon=0.0, reference="public"), scores()),
    )
    assert series_of(aggregate(rows)) == ["m (x)", "m (gpu)", "n [s=1]", "m (x)"]


def test_marks_say_what_a_reader_must_know() -> None:
    lines = aggregate(frame((trial(reference="public", noise="reproducible"), scores()), (trial(seed=3), scores())))
    assert [marks_of(line) for _, line in lines.iterrows()] == [["public", "reproducible noise"], []]
