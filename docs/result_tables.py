"""The MNIST results in README.md and docs/experiments.md; run this file to write both.

    python docs/result_tables.py

They come from results/reference/mnist.csv: means over seeds, for the current version of each method. The README has
a few of them beside each method's idea, which is written by hand.
"""

from __future__ import annotations

import math
import sys
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
ROWS = ROOT / "results" / "reference" / "mnist.csv"
README, EXPERIMENTS = ROOT / "README.md", ROOT / "docs" / "experiments.md"
PART = WrittenPart("result_tables.py")

SHOWN = ("accuracy", "label_fidelity", "fwd_inf", "fd_coarse_inf", "fd_detail1_inf", "style", "texture", "copied")
"""The columns in docs/experiments.md."""
WITH_INTERVAL = ("accuracy", "copied")

CELLS = (("accuracy", 1.0), ("accuracy", 10.0), ("fwd_inf", 10.0))
"""The columns in the README, and their ε."""


def measured() -> pd.DataFrame:
    """The rows of the current version of each method, in the order of the registry; rows without a method first."""
    names = ["method", "variant", "method_version", "epsilon", *SHOWN, *(column + CI95 for column in SHOWN)]
    rows = pd.read_csv(ROWS, usecols=names, dtype={"method_version": "str", "variant": "str"}).fillna({"variant": ""})
    places = {name: place for place, name in enumerate(["real", *METHODS.names()])}
    versions = {name: METHODS.get(name).version for name in METHODS.names()}
    present = rows[[versions.get(row.method, row.method_version) == row.method_version for row in rows.itertuples()]]
    ordered = present.assign(place=present["method"].map(places))
    return ordered.sort_values(["place", "variant", "epsilon"], kind="stable")


def mean(rows: pd.DataFrame, column: str) -> str:
    """The mean over seeds; "" without rows."""
    return f"{rows[column].mean():z.3f}" if len(rows) else ""


def interval(rows: pd.DataFrame, column: str) -> str:
    """ " ± " and the half-width of the interval of the mean: over seeds or, with one seed, over images."""
    half_width = mean_and_ci95(rows[column].tolist())[1] if len(rows) > 1 else rows[column + CI95].iloc[0]
    return f" ± {half_width:.3f}"


def experiments_table(rows: pd.DataFrame) -> str:
    """Markdown, one line per method, variant and ε."""
    lines = [f"| method | ε | {' | '.join(SHOWN)} |", "|---" * (2 + len(SHOWN)) + "|"]
    for (_, method, variant, epsilon), own in rows.groupby(["place", "method", "variant", "epsilon"], dropna=False):
        name = titled(method, variant) + (" (no noise)" if epsilon == math.inf else "")
        budget = "" if math.isnan(epsilon) else "∞" if epsilon == math.inf else f"{epsilon:g}"
        cells = [mean(own, column) + (interval(own, column) if column in WITH_INTERVAL else "") for column in SHOWN]
        lines.append(f"| {name} | {budget} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def readme_table(rows: pd.DataFrame, present: str) -> str:
    """The README's table, with the scores of `rows` in the last columns."""
    _, _, *methods = present.strip().splitlines()
    heading = f"| method | idea | {' | '.join(f'{column}, ε = {epsilon:g}' for column, epsilon in CELLS)} |"
    return "\n".join([heading, "|---" * (2 + len(CELLS)) + "|", *(with_scores(line, rows) for line in methods), ""])


def with_scores(line: str, rows: pd.DataFrame) -> str:
    """ "| `wavelet` | idea | old | old | old |" with new scores; none where there is no row."""
    _, name, idea, *_ = line.split("|")
    own = rows[(rows["method"] == name.strip(" `")) & (rows["variant"] == "")]
    cells = [mean(own[own["epsilon"] == epsilon], column) for column, epsilon in CELLS]
    return f"|{name}|{idea}| {' | '.join(cells)} |"


def pages() -> dict[Path, str]:
    """Both pages with their current contents."""
    rows = measured()
    readme, experiments = (path.read_text(encoding="utf-8") for path in (README, EXPERIMENTS))
    return {
        README: PART.put(readme, readme_table(rows, PART.of(readme))),
        EXPERIMENTS: PART.put(experiments, experiments_table(rows)),
    }


def main() -> None:
    """Writes both pages."""
    for path, page in pages().items():
        write_text(path, page)


if __name__ == "__main__":
    main()
