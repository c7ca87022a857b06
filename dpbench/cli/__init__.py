"""The command line, one module per command: parse the arguments, call the library, print the result.

Nothing heavier than Typer is imported until a command runs.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from dpbench import __version__
from dpbench.cli import (
    audit,
    check,
    doctor,
    evaluate,
    export,
    leaderboard,
    list_,
    new,
    plot,
    privacy,
    refine,
    report,
    run,
    sample,
    show,
    stopping,
    weights,
    worker,
)
from dpbench.cli.console import OneLineWarnings, complain, replace_unknown_characters, usage_problem
from dpbench.cli.process_setup import end_quickly, keep_freed_memory, wait_briefly
from dpbench.core.errors import WRONG_REQUEST, DpbenchError

USAGE_ERROR: Any = typer.BadParameter.__base__
"""Typer's errors about the words of a command line: of the package click, or of Typer's own copy of it."""


class Commands(TyperGroup):
    """Prints warnings, user-fixable errors and interruptions in one line each; an error sets the exit code."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Reads the words before the name of a command."""
        with _one_line_errors():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        """Reads the words after the name of a command, and runs it."""
        with warnings.catch_warnings(), stopping.sigterm_like_ctrl_c(), _one_line_errors():
            warnings.simplefilter("default", UserWarning)
            warnings.showwarning = OneLineWarnings()
            return super().invoke(ctx)


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Prints what ends the block in one line, and exits."""
    try:
        yield
    except DpbenchError as error:
        complain("error", error)
        raise typer.Exit(error.exit_code) from error
    except USAGE_ERROR as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # Typer answers it with the help
            raise
        complain("error", usage_problem(error))
        raise typer.Exit(WRONG_REQUEST) from error
    except KeyboardInterrupt as stop:
        raise typer.Exit(stopping.report(stop)) from stop


EPILOG = """
[bold]Examples[/bold]

dpbench run --method wavelet --eps 1,5,10

dpbench run --method wavelet,dp-merf --dataset mnist --download --eps 1,10

dpbench run --config experiment.toml

dpbench run --method my-method --plugin my_method.py --set steps=200

dpbench show wavelet --dataset mnist --eps 1

dpbench evaluate samples.npz --dataset mnist --name theirs --eps 10

dpbench sample results/shapes/wavelet/9f2c04d1a7b35e68 --count 1000

dpbench export results/shapes/wavelet/9f2c04d1a7b35e68 --out wavelet.zip

dpbench refine --input coarse --out fine --scale 4

dpbench privacy --records 60000 --batch 2048 --steps 150 --eps 1

dpbench audit wavelet --eps 1

dpbench leaderboard --csv leaderboard.csv

dpbench report --out report.html

dpbench new method my-idea

dpbench weights get inception

dpbench doctor
"""

app = typer.Typer(
    cls=Commands,
    help="Train differentially private image generators under the same privacy budget and compare their images.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"dpbench {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option("--version", metavar="", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """See `app`."""


# The help lists the commands in this order.
app.command(epilog=run.EPILOG)(run.run)
app.command(epilog=evaluate.EPILOG)(evaluate.evaluate)
app.command(epilog=sample.EPILOG)(sample.sample)
app.command(epilog=export.EPILOG)(export.export)
app.command(epilog=refine.EPILOG)(refine.refine)
app.command("list")(list_.list_)
app.command()(show.show)
app.command(epilog=privacy.EPILOG)(privacy.privacy)
app.command(epilog=audit.EPILOG)(audit.audit)
app.command()(leaderboard.leaderboard)
app.command(epilog=report.EPILOG)(report.report)
app.command(epilog=new.EPILOG)(new.new)
app.command(epilog=check.EPILOG)(check.check)
app.command()(doctor.doctor)
app.command(hidden=True)(worker.worker)
app.add_typer(plot.app, name="plot")
app.add_typer(weights.app, name="weights")


def main() -> None:
    """The entry point of the `dpbench` command."""
    wait_briefly()
    keep_freed_memory()
    end_quickly()
    replace_unknown_characters()
    app()
