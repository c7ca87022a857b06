"""The rows that a command shows: folders of results, and filters. Shared by the commands that show results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dpbench.benchmark.request import RunRequest, split_names
from dpbench.cli import completion
from dpbench.core.errors import DpbenchError
from dpbench.core.folders import expanded

if TYPE_CHECKING:
    import pandas as pd

FOLDERS = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[FOLDERS]...", help="Folders of results; their rows are merged. Default: results/."),
]

KEPT = {
    "methods": "Methods to keep, separated by commas; real images stay.",
    "dataset": "Datasets to keep, separated by commas.",
    "epsilons": "Budgets ε to keep, e.g. 1,10; reference rows stay.",
}
"""Help of options of `RunRequest` for the commands that show results; see `options.takes`."""

WHERE = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN=VALUES",
        autocompletion=completion.conditions,
        help="Keep rows with one of these values in a column; repeatable.",
    ),
]


def chosen_rows(folders: Sequence[Path], request: RunRequest, where: Sequence[str]) -> pd.DataFrame:
    """The chosen rows of finished trials; see `results.leaderboard_rows.collect`.

    Args:
        folders: folders of results.
        request: the methods, datasets (separated by commas) and budgets to keep; an empty field keeps all.
        where: conditions "COLUMN=VALUES", the values separated by commas.

    Raises:
        DpbenchError: a folder does not exist, a filter names an unknown column, or no trial passes the filters.
    """
    places = [expanded(folder) for folder in folders]
    for place in places:
        if not place.is_dir():
            raise DpbenchError(f"there are no results in {place}; `dpbench run` writes some to its --out folder")
    from dpbench.data.opening import canonical_name
    from dpbench.results.filtering import keep_rows
    from dpbench.results.leaderboard_rows import collect

    rows = collect(places, [canonical_name(name) for name in split_names(request.dataset)])
    return keep_rows(rows, request.methods, request.epsilons, _conditions(where))


def _conditions(where: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """["track=none,images"] -> {"track": ("none", "images")}.

    Raises:
        DpbenchError: a text has no "=".
    """
    found = {}
    for text in where:
        column, equals, values = text.partition("=")
        if not equals:
            raise DpbenchError(f"--where {text}: write COLUMN=VALUE, e.g. --where track=none")
        found[column.strip()] = tuple(value.strip() for value in values.split(","))
    return found
