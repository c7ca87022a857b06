"""The leaderboard table: references, marks, the privacy record and the terminal width."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console, RenderableType
from rows import ACCURACY, FWD, frame, scores, trial

from dpbench.cli.pages.fitted_table import Name, shortened
from dpbench.cli.pages.leaderboard_page import chosen_tables, leaderboard_page, tables_page
from dpbench.cli.pages.ranked_tables import ranked_tables
from dpbench.core.errors import DpbenchError
from dpbench.core.folders import state_folder
from dpbench.core.metric import Column
from dpbench.results.privacy_record import FOLDER, append
from dpbench.results.record import TrialRecord


def show(rows: pd.DataFrame, width: int = 160, **options: Any) -> str:
    return rendered(tables_page(ranked_tables(rows, [ACCURACY, FWD], **options), rows), width)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A privacy record of the test's own."""
    monkeypatch.setenv("DPBENCH_STATE", str(tmp_path))


def record(*keys: str, epsilon: float = 1.0) -> None:
    """Records a private run of each trial, on the dataset of `rows.trial`."""
    for key in keys:
        append(state_folder() / FOLDER / "a.jsonl", {"run": key, "key": key, "epsilon": epsilon, "fingerprint": "x"})


def rendered(page: RenderableType, width: int = 160) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(page)
    return console.export_text()


def test_table_shows_variants_in_brackets() -> None:
    text = show(
        frame(
            (trial(variant="widths=[8,8],part=b"), scores()),
            (trial(variant="part=b", accounting="unverified", unverified=["peeked"]), scores()),
        )
    )
    assert "│ m [widths=[8,8],part=b] " in text
    assert "│ m [part=b] (UNVERIFIED) ¹ " in text
    assert "\n¹ accounting unverified: peeked" in text


def test_table_shows_references_and_privacy_record() -> None:
    rows = frame(
        (trial(reference="public", epsilon=0, noise=""), scores()),
        (trial(epsilon=10), scores()),
        (trial(), scores()),
        (trial(reference="nonprivate", epsilon="inf", noise=""), scores()),
        (trial(method="real", reference="real", epsilon=None, noise=""), scores()),
    )
    record("a", "b", "c", epsilon=4.0)
    text = show(rows)
    order = [text.index(name) for name in ("│ real", "│ m (nonprivate)", "│ m      ", "│ m (public)")]
    assert order == sorted(order)
    assert "3 private runs so far, Σε = 12" in text
    assert "100 samples against 50 real images" in text


def test_column_without_a_direction_ranks_nothing() -> None:
    rows = frame((trial(), scores(0.6)))
    diversity = Column("fwd", None, "a diversity")

    def text_of(columns: list[Column]) -> str:
        return rendered(tables_page(ranked_tables(rows, columns), rows))

    assert "ranked by accuracy" in text_of([diversity, ACCURACY])
    alone = text_of([diversity])
    assert "ranked by" not in alone
    assert re.search(r"┃ +fwd ┃", alone)
    with pytest.raises(DpbenchError, match="neither high nor low values of lpips are better"):
        chosen_tables(rows, by="lpips")


def test_rows_are_ranked_by_the_column_that_the_first_one_names() -> None:
    def row(method: str, fwd: float, limit: float) -> tuple[TrialRecord, dict[str, Any]]:
        found = scores(fwd=fwd)
        return trial(method=method), {**found, "values": {"fwd": fwd, "fwd_inf": limit}}

    rows = frame(row("a", 1.0, 0.9), row("b", 1.1, 0.2))
    fwd = Column("fwd", "low", "", ranked_by="fwd_inf")
    text = rendered(tables_page(ranked_tables(rows, [fwd]), rows))
    assert "ranked by fwd_inf" in text
    assert re.findall(r"│ ([ab]) +│ +1 │ images │ +(\d)", text) == [("b", "1"), ("a", "2")]
    assert re.search(r"┃ +fwd_inf ↓ ┃", rendered(leaderboard_page(rows)))
    assert re.search(r"┃ +fwd_inf ↓ ┃ +fwd ↓ ┃", rendered(tables_page(chosen_tables(rows, by="fwd"), rows)))


def test_ranking_by_a_column_without_any_value_is_an_error() -> None:
    rows = frame((trial(), scores()))
    message = r"--by kid: no row has a value of kid; `dpbench evaluate --all --metrics kid` adds it"
    with pytest.raises(DpbenchError, match=message):
        chosen_tables(rows, by="kid")
    with pytest.raises(DpbenchError, match="no row has a value of fwd_inf"):
        chosen_tables(rows, by="fwd")
    assert chosen_tables(frame(), by="kid") == []


def test_score_that_some_seeds_lack_is_shown_with_its_note() -> None:
    rows = frame((trial(seed=0), scores(0.6)), (trial(seed=1), scores(None)))
    text = show(rows)
    assert re.search(r"┃ +accuracy ↑ ┃", text)
    assert "accuracy: no mean, as only 1 of 2 seeds have a value" in text
    assert "ranked by fwd" in text


def test_single_seed_has_its_interval_over_images() -> None:
    text = show(frame((trial(seed=0), scores(0.6, ci95=0.02))))
    assert "0.600 ± 0.020" in text
    assert "±: 95% interval over images" in text


def test_private_rows_missing_from_the_record_are_reported() -> None:
    rows = frame(
        *((trial(seed=seed, key=f"key {seed}"), scores()) for seed in range(8)),
        (trial(reference="public", epsilon=0, noise="", key="public"), scores()),
    )
    missing = "8 private rows on d, but the record on this machine lacks {} of their runs: they ran elsewhere"
    assert missing.format(8) in show(rows)
    record("key 0", "key 1", "key 2", "of another row")
    assert missing.format(5) in show(rows)
    record(*(f"key {seed}" for seed in range(3, 8)))
    assert "lacks" not in show(rows)


def test_record_sum_mentions_unverified_runs() -> None:
    rows = frame((trial(key="a"), scores()), (trial(key="b", accounting="unverified"), scores()))
    record("a", "b")
    text = show(rows)
    assert "2 private runs so far, Σε = 2, plus 1 unverified without a bound" in text


def test_narrow_table_omits_columns() -> None:
    rows = frame((trial(), scores(0.6, ci95=0.02)))
    wide, narrow = show(rows), show(rows, width=48)
    assert "fwd ↓" in wide
    assert "no room" not in wide
    assert "0.600 ± 0.020" in narrow
    assert "fwd ↓" not in narrow
    assert "no room for fwd; `dpbench leaderboard --columns NAMES`" in " ".join(narrow.split())


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


@pytest.mark.parametrize("width", [60, 80, 100])
def test_long_variants_shorten_and_numbers_stay_whole(width: int) -> None:
    long = ["batch=1024,steps=55,tokens=all,public_steps=500", "batch=1024,steps=57,tokens=all,public_steps=500"]
    rows = frame(
        *(
            (trial(variant=variant, config={"steps": variant}, epsilon=10.0, seed=seed), scores(0.5 + seed / 10))
            for variant in long
            for seed in range(3)
        ),
        (trial(variant=long[0], epsilon=3.5, accounting="unverified"), scores(0.75)),
    )
    text = show(rows, width)
    assert max(map(len, text.splitlines())) <= width
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if line.startswith("│")]
    assert [cells[1] for cells in lines if cells[1]] == ["3.5", "10", "10"]
    assert [cells[5] for cells in lines if cells[1]] == ["0.750", "0.600 ± 0.248", "0.600 ± 0.248"]
    assert [cells[3] for cells in lines if cells[1]] == ["", "1", "1"]
    names = [cells[0] for cells in lines if cells[0].startswith("m [")]
    assert len(set(names)) == 2 + (names[0] not in names[1:])
    for variant in long:
        assert f"= m [{variant}]" in " ".join(text.split())


def test_shortened_titles_differ_and_their_marks_stay_whole() -> None:
    names = [Name("m [a=1,b=2,c=3,d=4]", " ¹"), Name("m [a=1,b=3,c=3,d=4]"), Name("m", " (public) ²"), Name("m [a=2]")]
    assert shortened(names, 16) == {
        "m": "m", "m [a=2]": "m [a=2]", "m [a=1,b=2,c=3,d=4]": "m [a=1,…3,d=4]",
        "m [a=1,b=3,c=3,d=4]": "m [a=1,b…=3,d=4]",
    }  # fmt: skip
    assert shortened([Name("m [a=1,b=2,c=3,d=4]"), Name("m [a=1,b=3,c=3,d=4]")], 16) == {
        "m [a=1,b=2,c=3,d=4]": "m [a=1,b…=3,d=4]", "m [a=1,b=3,c=3,d=4]": "m [a=1,…2…3,d=4]",
    }  # fmt: skip


def test_tables_of_several_datasets_share_their_notes() -> None:
    rows = frame((trial(), scores()), (trial(dataset="e", dataset_fingerprint="y"), scores(None)))
    text = show(rows)
    assert "d, 32×32 · 100 samples against 50 real images · ranked by accuracy" in text
    assert "e, 32×32 · 100 samples against 50 real images · ranked by fwd" in text
    assert text.count("±: 95% interval") == 1


def tables(text: str) -> dict[str, list[str]]:
    """Heading -> the names in the first column of the table below it."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if " samples against " in line:
            names = found.setdefault(line.partition(" · ranked")[0], [])
        elif line.startswith("│"):
            names.append(line.split("│")[1].strip())
    return found


def test_each_number_of_images_has_a_table_of_its_own() -> None:
    rows = frame(
        (trial(method="a"), scores()),
        (trial(method="a"), scores(0.9, n_samples=2000)),
        (trial(method="b"), scores(0.9, n_samples=2000, n_reference=99)),
        (trial(method="c"), scores(0.8)),
        (trial(method="real", reference="real", epsilon=None, config={"samples": 2000}), scores(n_samples=40)),
        (trial(method="real", reference="real", epsilon=None, config={}), scores(n_samples=25, n_reference=25)),
    )
    record("a", "b", "c", epsilon=4.0)
    text = show(rows)
    assert tables(text) == {
        "d, 32×32 · 100 samples against 50 real images": ["c", "a"],
        "d, 32×32 · 2,000 samples against 50 real images": ["real", "a"],
        "d, 32×32 · 2,000 samples against 99 real images": ["b"],
        "d, 32×32 · 25 samples against 25 real images": ["real"],
    }
    assert text.count("3 private runs so far") == 1
    ranks = re.findall(r"│ (\w) +│ +1 │ images │ +(\d)", text)
    assert ranks == [("c", "1"), ("a", "2"), ("a", "1"), ("b", "1")]


def test_rows_that_are_ranked_apart_say_why() -> None:
    rows = frame(
        *((trial(method=name), scores(accuracy=accuracy)) for name, accuracy in (("a", 0.9), ("b", 0.8))),
        (trial(method="c"), scores(0.95, accuracy_protocol="v2")),
        (trial(method="d", delta=0.1), scores(0.7)),
    )
    text = show(rows)
    assert re.findall(r"│ (\w) *([¹²]?) *│ +1 │ images │ +(\d)", text) == [
        ("a", "", "1"), ("c", "¹", "1"), ("d", "²", "1"), ("b", "", "2"),
    ]  # fmt: skip
    assert "\n¹ ranked apart: other protocol of accuracy" in text
    assert "\n² ranked apart: other delta" in text


def test_rows_that_cannot_be_told_apart_share_a_rank_and_the_table_says_so() -> None:
    rows = [(trial(method=m), scores(a, ci95=0.03)) for m, a in (("a", 0.80), ("b", 0.82), ("c", 0.90))]
    text = show(frame(*rows))
    assert re.findall(r"│ (\w) +│ +1 │ images │ +(\d)", text) == [("c", "1"), ("a", "2"), ("b", "2")]
    assert "rows of equal rank are tied" in text
    assert "tied" not in show(frame(*rows[1:]))


def test_what_real_images_reach_stands_below_the_table() -> None:
    real = (trial(method="real", reference="real", epsilon=None, noise=""), scores(0.987, ci95=0.002))
    assert "real images reach: accuracy 0.987 ± 0.002" in show(frame(real, (trial(), scores(0.8))))
    assert "real images reach" not in show(frame((trial(), scores(0.8))))
