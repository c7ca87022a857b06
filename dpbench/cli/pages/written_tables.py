"""The leaderboard's tables as text for documents: Markdown, and LaTeX for papers."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from dpbench.cli.pages.fitted_table import METHOD, cells_of, headings_of
from dpbench.cli.pages.ranked_tables import RankedTable

LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "ε": r"$\varepsilon$", "δ": r"$\delta$", "Σ": r"$\Sigma$", "∞": r"$\infty$", "±": r"$\pm$", "×": r"$\times$",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "·": r"$\cdot$", "–": "--", "…": r"\dots{}",
    **{mark: f"$^{{{digit}}}$" for digit, mark in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
}  # fmt: skip
"""Characters that LaTeX does not print as they are, and their replacements."""


def as_markdown(tables: Sequence[RankedTable]) -> str:
    """The tables one below the other, each with its heading and notes; the best rows of an ε and track are bold."""
    parts = []
    for table in tables:
        rows = _rows(table)
        aligned = [":--" if heading in (METHOD, "track") else "--:" for heading in rows[0]]
        lines = [[_bold(cell, best, "**") for cell in map(_markdown, row)] for row, best in _marked(rows, table.lines)]
        body = "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], aligned, *lines[1:]])
        notes = "".join(f"- {_markdown(note)}\n" for note in _notes(table))
        parts.append(f"**{_markdown(table.heading)}**\n\n{body}\n\n{notes}")
    return "\n".join(parts)


def as_latex(tables: Sequence[RankedTable]) -> str:
    """The tables one below the other, each a `table` for the package booktabs.

    The heading and the notes are the caption; the best rows of an ε and track are bold.
    """
    parts = []
    for table in tables:
        rows = _rows(table)
        places = "".join("l" if heading in (METHOD, "track") else "r" for heading in rows[0])
        lines = [
            " & ".join(_latex_cell(cell, best) for cell in row) + r" \\" for row, best in _marked(rows, table.lines)
        ]
        caption = " ".join(f"{_latex(text)}." for text in (table.heading, *_notes(table)))
        parts.append("\n".join([
            r"\begin{table}", r"\centering", rf"\caption{{{caption}}}", rf"\begin{{tabular}}{{{places}}}", r"\toprule",
            lines[0], r"\midrule", *_with_rules(lines[1:], table.lines),
            r"\bottomrule", r"\end{tabular}", r"\end{table}", "",
        ]))  # fmt: skip
    return "% needs \\usepackage{booktabs}\n" + "\n".join(parts)


def _rows(table: RankedTable) -> list[list[str]]:
    """Headings, then cells."""
    cells = cells_of(table.lines, table.columns)
    headings = [METHOD, *headings_of(table.lines, table.columns)]
    return [headings, *([str(name), *row] for name, row in zip(table.names, cells, strict=True))]


def _marked(rows: Sequence[Sequence[str]], lines: pd.DataFrame) -> list[tuple[Sequence[str], bool]]:
    """Each row, and whether it is the best of its ε and track; headings are not."""
    return list(zip(rows, [False, *lines["rank"].eq(1).fillna(False).tolist()], strict=True))


def _notes(table: RankedTable) -> list[str]:
    return [*table.notes.general, *(f"{mark} {note}" for mark, note in table.notes.numbered)]


def _bold(text: str, best: bool, mark: str) -> str:
    return f"{mark}{text}{mark}" if best and text else text


def _markdown(text: str) -> str:
    """The text with markup escaped; text in backticks stays code."""
    return (
        re.sub(r"([\\|*_<>\[\]])", r"\\\1", text) if "`" not in text else text.replace("|", r"\|").replace("<", "&lt;")
    )


def _latex(text: str) -> str:
    return "".join(LATEX.get(letter, letter) for letter in text.replace("`", ""))


def _latex_cell(text: str, best: bool) -> str:
    escaped = _latex(text)
    return rf"\textbf{{{escaped}}}" if best and text else escaped


def _with_rules(rows: Sequence[str], lines: pd.DataFrame) -> list[str]:
    """The rows with a rule between different ε and kinds of rows."""
    sections = (lines["reference"] + lines["epsilon"].map(str)).tolist()
    ruled = []
    for number, row in enumerate(rows):
        if number and sections[number] != sections[number - 1]:
            ruled.append(r"\midrule")
        ruled.append(row)
    return ruled
