"""The leaderboard table: references, marks, the privacy record and the terminal width."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
from rich.console import Console
from rows import ACCURACY, FWD, frame, scores, trial

from dpbench.cli.pages.leaderboard_page import leaderboard_table
from dpbench.results.privacy_record import Record

OWNERS = {"accuracy": "accuracy", "fwd": "fwd"}


def show(rows: pd.DataFrame, width: int = 160, **options: Any) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(leaderboard_table(rows, [ACCURACY, FWD], options.pop("records", {}), OWNERS, **options))
    return console.export_text()


def test_table_shows_variants_in_brackets() -> None:
    text = show(
        frame(
            (trial(variant="widths=[8,8],part=b"), scores()),
            (trial(variant="part=b", accounting="unverified", unverified=["peeked"]), scores()),
        )
    )
    assert "│ m [widths=[8,8],part=b] " in text
    assert "│ m [part=b] (UNVERIFIED) " in text
    assert "m [part=b] (UNVERIFIED): accounting unverified: peeked" in text


def test_table_shows_references_and_privacy_record() -> None:
    rows = frame(
        (trial(reference="public", epsilon=0, noise=""), scores()),
        (trial(epsilon=10), scores()),
        (trial(), scores()),
        (trial(reference="nonprivate", epsilon="inf", noise=""), scores()),
        (trial(method="real", reference="real", epsilon=None, noise=""), scores()),
    )
    text = show(rows, records={"x": Record(3, 12.0)})
    order = [text.index(name) for name in ("│ real", "│ m (nonprivate)", "│ m      ", "│ m (public)")]
    assert order == sorted(order)
    assert "3 private runs so far, Σε = 12" in text
    assert "100 samples against 50 real images" in text


def test_single_seed_has_its_interval_over_images() -> None:
    text = show(frame((trial(seed=0), scores(0.6, ci95=0.02))))
    assert "0.600 ± 0.020" in text
    assert "±: 95% interval over images (bootstrap)" in text


def test_private_rows_missing_from_the_record_are_reported() -> None:
    rows = frame(
        *((trial(seed=seed, key=f"key {seed}"), scores()) for seed in range(8)),
        (trial(reference="public", epsilon=0, noise="", key="public"), scores()),
    )
    known = frozenset({"key 0", "key 1", "key 2", "of another row"})
    text = show(rows, records={"x": Record(4, 4.0, known)})
    assert "8 private rows on d, but the record on this machine lacks 5 of their runs: they ran elsewhere" in text
    assert "8 private rows on d, but the record on this machine lacks 8 of their runs" in show(rows)
    assert "lacks" not in show(rows, records={"x": Record(9, 9.0, frozenset(f"key {seed}" for seed in range(8)))})


def test_record_sum_mentions_unverified_runs() -> None:
    rows = frame((trial(key="a"), scores()), (trial(key="b", accounting="unverified"), scores()))
    text = show(rows, records={"x": Record(2, 2.0, frozenset("ab"))})
    assert "2 private runs so far, Σε = 2, plus 1 unverified without a bound" in text


def test_narrow_table_omits_columns() -> None:
    rows = frame((trial(), scores(0.6, ci95=0.02)))
    wide, narrow = show(rows), show(rows, width=48)
    assert "fwd ↓" in wide
    assert "no room" not in wide
    assert "0.600 ± 0.020" in narrow
    assert "fwd ↓" not in narrow
    assert "not shown for lack of width: fwd" in narrow


def test_table_marks_unverified_and_special_rows() -> None:
    text = show(
        frame(
            (trial(accounting="unverified", unverified=["peeked"]), scores()), (trial(noise="reproducible"), scores())
        )
    )
    assert "m (UNVERIFIED)" in text
    assert "m (reproducible noise)" in text
    assert "peeked" in text


def test_empty_leaderboard_has_a_message() -> None:
    assert "no finished trials" in show(frame())


def test_a_long_variant_wraps_and_numbers_stay_whole() -> None:
    text = show(frame((trial(variant="a_rather_long_setting=1," * 6 + "x=1"), scores(accuracy=0.512))), width=80)
    assert "0.512" in text
    assert " ε " in text.replace("┃", " ")
