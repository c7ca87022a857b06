"""`dpbench plot`: figures for papers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dpbench.benchmark.request import RunRequest, split_names
from dpbench.cli import completion
from dpbench.cli.filters import FOLDERS, KEPT, WHERE, chosen_rows
from dpbench.cli.options import takes
from dpbench.core.counted import counted
from dpbench.core.errors import DpbenchError
from dpbench.core.folders import expanded
from dpbench.results.row import COSTS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

app = typer.Typer(
    help="Draw figures for papers, as PNG, SVG or PDF: scores by ε, method or cost, and sheets of samples.",
    no_args_is_help=True,
    epilog="dpbench plot epsilon --columns fwd_inf,accuracy --out scores.pdf\n\n"
    "dpbench plot cost --columns fwd_inf --cost peak_memory_mb\n\n"
    "dpbench plot samples --method wavelet,dp-merf --eps 10 --out samples.pdf",
)

COLUMNS = Annotated[
    str,
    typer.Option(
        metavar="NAMES",
        autocompletion=completion.columns,
        help="Scores, one panel each; the headline metrics with values by default.",
    ),
]
COST = Annotated[
    str,
    typer.Option(
        metavar="NAME", autocompletion=completion.listed(lambda: COSTS), help=f"Cost to draw by: {', '.join(COSTS)}."
    ),
]
OUT = Annotated[Path, typer.Option(metavar="FILE", help="Figure to write: .png, .svg or .pdf.")]


@app.command()
@takes("methods", "dataset", "epsilons", help=KEPT, dataset="", epsilons=())
def epsilon(
    request: RunRequest,
    folders: FOLDERS = None,
    where: WHERE = None,
    columns: COLUMNS = "",
    out: OUT = Path("scores.png"),
) -> None:
    """Draw scores by ε: one line per method, with intervals."""
    from dpbench.results.figures.score_figures import by_epsilon

    _draw(by_epsilon, folders, request, where, columns, out)


@app.command()
@takes("methods", "dataset", "epsilons", help=KEPT, dataset="", epsilons=())
def method(
    request: RunRequest,
    folders: FOLDERS = None,
    where: WHERE = None,
    columns: COLUMNS = "",
    out: OUT = Path("scores.png"),
) -> None:
    """Draw scores by method: one group of points per method, with intervals."""
    from dpbench.results.figures.score_figures import by_method

    _draw(by_method, folders, request, where, columns, out)


@app.command()
@takes("methods", "dataset", "epsilons", help=KEPT, dataset="", epsilons=())
def cost(
    request: RunRequest,
    folders: FOLDERS = None,
    where: WHERE = None,
    columns: COLUMNS = "",
    cost: COST = "seconds_fit",
    out: OUT = Path("scores.png"),
) -> None:
    """Draw scores by cost: one point per row, with its ε."""
    from dpbench.results.figures.score_figures import by_cost

    _draw(lambda lines, shown: by_cost(lines, shown, cost), folders, request, where, columns, out)


@app.command()
@takes("methods", "dataset", "epsilons", "data", help=KEPT, dataset="", epsilons=())
def samples(
    request: RunRequest,
    folders: FOLDERS = None,
    where: WHERE = None,
    count: Annotated[int, typer.Option(metavar="N", min=1, help="Images per condition.")] = 4,
    rows: Annotated[int, typer.Option(metavar="N", min=1, help="Number of conditions, from the first on.")] = 10,
    real: Annotated[bool, typer.Option("--real", metavar="", help="Real images of a public benchmark first.")] = False,
    out: OUT = Path("samples.png"),
) -> None:
    """Draw samples of the chosen rows side by side, the same condition in the same cell."""
    from dpbench.benchmark.reporting.figure_grids import grids_of
    from dpbench.results.figures.figure_file import check_format, write_figure
    from dpbench.results.figures.sample_figure import sample_sheet

    check_format(out)
    table = _one_table(folders, request, where or ())
    grids = grids_of(table, real, request.data)
    write_figure(sample_sheet(grids, count, rows), expanded(out))
    print(f"{counted(len(grids), 'grid')}: {out}")


def _draw(
    draw: Callable[..., Figure],
    folders: Sequence[Path] | None,
    request: RunRequest,
    where: Sequence[str] | None,
    columns: str,
    out: Path,
) -> None:
    """Draws scores of one table."""
    from dpbench.results.figures.figure_file import check_format, write_figure
    from dpbench.results.metric_columns import headline_columns, named_columns

    check_format(out)
    named = named_columns(split_names(columns))
    table = _one_table(folders, request, where or ())
    shown = named or [column for column in headline_columns() if table[column.name].notna().any()]
    if not shown:
        raise DpbenchError("no headline metric has a value; --columns names others")
    write_figure(draw(table, shown), expanded(out))
    print(f"{counted(len(table), 'row')}: {out}")


def _one_table(folders: Sequence[Path] | None, request: RunRequest, where: Sequence[str]) -> pd.DataFrame:
    """The lines of the table that a figure shows, with their series.

    Raises:
        DpbenchError: the filters leave no table, or several, which are not comparable.
    """
    from dpbench.results.comparable import heading_of, series_of, tables_of

    rows = chosen_rows(folders or [request.out], request, where)
    tables = tables_of(rows)
    if not tables:
        raise DpbenchError("there are no finished trials to draw")
    if len(tables) > 1:
        headings = "; ".join(heading_of(table) for table in tables)
        raise DpbenchError(f"these rows are not comparable: {headings}. Choose with --dataset or --where")
    (table,) = tables
    return table.assign(series=series_of(table))
