"""The reference results in README.md and docs/experiments.md; run this file to write both.

    python docs/result_tables.py

They come from results/reference/DATASET.csv: means over seeds, for the current version of each method. The README has
a few of them beside each method's idea, which is written by hand.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # makes the script work from any folder

import pandas as pd

from docs.written_part import WrittenPart
from dpbench.core.files import write_text
from dpbench.core.registries import METHODS
from dpbench.core.variants import titled
from dpbench.results.over_seeds import mean_and_ci95
from dpbench.results.row import CI95

ROOT = Path(__file__).parents[1]
ROWS = ROOT / "results" / "reference"
README, EXPERIMENTS = ROOT / "README.md", ROOT / "docs" / "experiments.md"
DATASETS = ("mnist", "shapes", "cifar10")
IN_README = WrittenPart("result_tables.py")
IN_EXPERIMENTS = {dataset: WrittenPart("result_tables.py", dataset) for dataset in DATASETS}

SHOWN = ("accuracy", "label_fidelity", "fwd_inf", "fd_coarse_inf", "fd_detail1_inf", "style", "texture", "copied")
"""The columns in docs/experiments.md."""
WITH_INTERVAL = ("accuracy", "copied")

CELLS = (
    *(("mnist", "accuracy", 1.0), ("mnist", "accuracy", 10.0), ("mnist", "fwd_inf", 10.0)),
    *(("shapes", "accuracy", 1.0), ("shapes", "accuracy", 10.0)),
)
"""The columns in the README: dataset, score and ε."""


def measured(dataset: str) -> pd.DataFrame:
    """The rows for the current version of each method, in the order of the registry; those without a method first."""
    names = ["method", "variant", "method_version", "epsilon", *SHOWN, *(column + CI95 for column in SHOWN)]
    rows = pd.read_csv(
        ROWS / f"{dataset}.csv", usecols=names, dtype={"method_version": "str", "variant": "str"}
    ).fillna({"variant": ""})
    places = {name: place for place, name in enumerate(["real", *METHODS.names()])}
    versions = {name: METHODS.get(name).version for name in METHODS.names()}
    present = rows[[versions.get(row.method, row.method_version) == row.method_version for row in rows.itertuples()]]
    ordered = present.assign(place=present["method"].map(places))
    return ordered.sort_values(["place", "variant", "epsilon"], kind="stable")


def mean(rows: pd.DataFrame, column: str) -> str:
    """The mean over seeds; "" without scores."""
    score = rows[column].mean()
    return "" if math.isnan(score) else f"{score:z.3f}"


def mean_with_interval(rows: pd.DataFrame, column: str) -> str:
    """The mean over seeds, with its interval in the columns that show it; "" without scores."""
    score = mean(rows, column)
    return score + interval(rows, column) if score and column in WITH_INTERVAL else score


def interval(rows: pd.DataFrame, column: str) -> str:
    """ " ± " and the half-width of the interval of the mean: over seeds or, with one seed, over images."""
    half_width = mean_and_ci95(rows[column].tolist())[1] if len(rows) > 1 else rows[column + CI95].iloc[0]
    return f" ± {half_width:.3f}"


def experiments_table(rows: pd.DataFrame) -> str:
    """Markdown, one line per method, variant and ε, with the columns that have scores."""
    shown = [column for column in SHOWN if rows[column].notna().any()]
    lines = [f"| method | ε | {' | '.join(shown)} |", "|---" * (2 + len(shown)) + "|"]
    for (_, method, variant, epsilon), own in rows.groupby(["place", "method", "variant", "epsilon"], dropna=False):
        name = titled(method, variant) + (" (no noise)" if epsilon == math.inf else "")
        budget = "" if math.isnan(epsilon) else "∞" if epsilon == math.inf else f"{epsilon:g}"
        cells = [mean_with_interval(own, column) for column in shown]
        lines.append(f"| {name} | {budget} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def readme_table(rows: Mapping[str, pd.DataFrame], current: str) -> str:
    """The README's table with new scores in the last columns.

    Args:
        rows: those of each dataset.
        current: the table as it is.
    """
    _, _, *methods = current.strip().splitlines()
    heading = " | ".join(f"{dataset}: {column}, ε = {epsilon:g}" for dataset, column, epsilon in CELLS)
    lines = [f"| method | idea | {heading} |", "|---" * (2 + len(CELLS)) + "|"]
    return "\n".join([*lines, *(with_scores(line, rows) for line in methods), ""])


def with_scores(line: str, rows: Mapping[str, pd.DataFrame]) -> str:
    """ "| `wavelet` | idea | old | old | ..." with new scores; a cell without a row is empty."""
    _, name, idea, *_ = line.split("|")
    method = name.strip(" `")
    cells = [mean(_rows_of(method, epsilon, rows[dataset]), column) for dataset, column, epsilon in CELLS]
    return f"|{name}|{idea}| {' | '.join(cells)} |"


def _rows_of(method: str, epsilon: float, rows: pd.DataFrame) -> pd.DataFrame:
    """One row per seed of a method without changed settings."""
    return rows[(rows["method"] == method) & (rows["variant"] == "") & (rows["epsilon"] == epsilon)]


def pages() -> dict[Path, str]:
    """The current content that both pages should have."""
    rows = {dataset: measured(dataset) for dataset in DATASETS}
    readme, experiments = (path.read_text(encoding="utf-8") for path in (README, EXPERIMENTS))
    for dataset, part in IN_EXPERIMENTS.items():
        experiments = part.put(experiments, experiments_table(rows[dataset]))
    return {README: IN_README.put(readme, readme_table(rows, IN_README.of(readme))), EXPERIMENTS: experiments}


def main() -> None:
    """Writes both pages."""
    for path, page in pages().items():
        write_text(path, page)


if __name__ == "__main__":
    main()
