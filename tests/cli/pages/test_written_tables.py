"""The leaderboard as Markdown and LaTeX."""

from __future__ import annotations

import re

from rows import ACCURACY, FWD, frame, scores, trial

from dpbench.cli.pages.ranked_tables import RankedTable, ranked_tables
from dpbench.cli.pages.written_tables import as_latex, as_markdown


def tables() -> list[RankedTable]:
    rows = frame(
        (trial(method="real", reference="real", epsilon=None, config={"samples": 100}), scores(0.9)),
        (trial(method="a_b", variant="w=[8,8],x=a|b"), scores(0.6, ci95=0.02)),
        (trial(method="c&d", epsilon=10.0), scores(0.7, fwd=None)),
    )
    return ranked_tables(rows, [ACCURACY, FWD])


def test_markdown_has_every_cell_and_no_markup_of_its_own() -> None:
    text = as_markdown(tables())
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert cells[0] == ["method", "ε", "track", "rank", "accuracy ↑", "fwd ↓"]
    assert {len(row) for row in cells} == {6}
    named = {row[0]: row for row in cells}
    assert named[r"**a\_b \[w=\[8,8\],x=a\|b\]**"][3:] == ["**1**", "**0.600 ± 0.020**", "**2.000**"]
    assert "\n- " in text
    assert text.startswith("**d, 32×32 · 100 samples against 50 real images · ranked by accuracy")


def test_latex_escapes_what_it_reads_otherwise() -> None:
    text = as_latex(tables())
    assert r"\textbf{c\&d ²} &" in text or r"\textbf{c\&d" in text
    assert r"a\_b [w=[8,8],x=a|b]" in text
    assert r"0.600 $\pm$ 0.020" in text
    assert r"accuracy $\uparrow$ & fwd $\downarrow$ \\" in text
    assert not re.findall(r"[^\x00-\x7f]", text)
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {5}
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 1
