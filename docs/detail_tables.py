"""The tables of detail stages in docs/experiments.md; run this file to write them.

    python docs/detail_tables.py

They come from results/reference/detail_stages.csv, one table per dataset. A cell has a score for each set of coarse
images: real ones, then those drawn at each ε, the largest first.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # makes the script work from any folder

import pandas as pd

from docs.written_part import WrittenPart
from dpbench.core.files import write_text

ROOT = Path(__file__).parents[1]
ROWS = ROOT / "results" / "reference" / "detail_stages.csv"
PAGE = ROOT / "docs" / "experiments.md"

SHOWN = {
    "accuracy": ("accuracy", 3),
    "label_fidelity": ("label fidelity", 3),
    "fwd": ("fwd", 2),
    "fd_detail1": ("fd_detail1", 2),
    "texture": ("texture", 2),
    "ll_error": ("coarse error", 3),
}
"""Column of the file -> its name in the tables, and digits."""


def table(rows: pd.DataFrame) -> str:
    """Markdown, one line per detail stage, for the rows of one dataset."""
    sources = sorted(rows["coarse"].unique(), key=lambda coarse: (coarse != "real", -_epsilon(coarse)))
    shown = [column for column in SHOWN if column in rows and rows[column].notna().any()]
    names = ["detail stage", *(SHOWN[column][0] for column in shown), "training, s", "s per image", "images"]
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for refiner, own in rows.groupby("refiner", sort=False):
        of_source = own.set_index("coarse")
        scores = [" / ".join(_cell(of_source, source, column) for source in sources) for column in shown]
        cells = [_named(str(refiner)), *(score if score.strip(" /–") else "" for score in scores), *_costs(own)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _epsilon(coarse: str) -> float:
    return float(coarse.rpartition(" ")[2]) if coarse != "real" else 0.0


def _cell(rows: pd.DataFrame, source: str, column: str) -> str:
    """A score; a dash if there is none."""
    if source not in rows.index or pd.isna(rows.at[source, column]):
        return "–"
    return f"{rows.at[source, column]:.{SHOWN[column][1]}f}"


def _named(refiner: str) -> str:
    """ "residual[consistency=project]" -> "residual, projected"."""
    return refiner.replace("[consistency=project]", ", projected")


def _costs(rows: pd.DataFrame) -> list[str]:
    """Seconds of training and per image, and the number of images, the smallest one if it varies."""
    training = rows["seconds_prepare"].max()
    return [
        f"{training:.0f}" if training >= 1 else "",
        f"{rows['seconds_per_image'].median():.2g}",
        f"{rows['n_samples'].min():,}",
    ]


def page() -> str:
    """The current content that the page should have."""
    text = PAGE.read_text(encoding="utf-8")
    for dataset, rows in pd.read_csv(ROWS).groupby("dataset", sort=False):
        text = WrittenPart("detail_tables.py", str(dataset)).put(text, table(rows))
    return text


def main() -> None:
    """Writes the page."""
    write_text(PAGE, page())


if __name__ == "__main__":
    main()
