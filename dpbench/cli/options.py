"""Options shared by several commands, the help panels that group them, and the parsing of their values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpbench.core.registry import load_plugin_file

WHAT, HOW, WHERE = "Experiment", "Execution", "Files and folders"

Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin", metavar="FILE.py", help="Python file with your own plugins; repeatable.", rich_help_panel=WHERE
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting (see `dpbench show METHOD`); METHOD:KEY=VALUE applies to one method only.",
        rich_help_panel=WHAT,
    ),
]
Preset = Annotated[str, typer.Option(help="Named base configuration, e.g. small or paper.", rich_help_panel=WHAT)]
Delta = Annotated[float | None, typer.Option(help="δ of the guarantee; 1 / (n ln n) by default.", rich_help_panel=WHAT)]
Resolution = Annotated[
    int | None, typer.Option(help="Height and width of the images; the dataset's own by default.", rich_help_panel=WHAT)
]
Samples = Annotated[int, typer.Option(help="Images to generate and score per trial.", rich_help_panel=WHAT)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.", rich_help_panel=HOW)]
Precision = Annotated[
    str, typer.Option(help="auto, fp32 or bf16; auto is bf16 on GPUs that support it.", rich_help_panel=HOW)
]
Download = Annotated[
    bool, typer.Option("--download", help="Allow missing datasets to be downloaded.", rich_help_panel=HOW)
]
Data = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Data folder; by default $DPBENCH_DATA or the user's cache.", rich_help_panel=WHERE
    ),
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Results folder.", rich_help_panel=WHERE)]


def load_plugins(plugins: list[Path] | None) -> None:
    """Imports plugin files, which register their plugins."""
    for path in plugins or []:
        load_plugin_file(path)


def split_names(text: str) -> list[str]:
    """The non-empty names in a comma-separated list."""
    return [name.strip() for name in text.split(",") if name.strip()]
