"""Options that several commands share, the panels of the help that they stand in, and how their texts are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpbench.core.registry import load_plugin_file

WHAT, HOW, WHERE = "What is compared", "How it is run", "Where things are"

Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin", metavar="FILE.py", help="Python file with plugins of your own; repeatable.", rich_help_panel=WHERE
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting (see `dpbench show METHOD`); METHOD:KEY=VALUE where only one of several methods has it.",
        rich_help_panel=WHAT,
    ),
]
Preset = Annotated[str, typer.Option(help="Settings to start from, e.g. small or paper.", rich_help_panel=WHAT)]
Delta = Annotated[float | None, typer.Option(help="δ of the guarantee; 1 / (n ln n) by default.", rich_help_panel=WHAT)]
Resolution = Annotated[
    int | None, typer.Option(help="Height and width of the images; the dataset's own by default.", rich_help_panel=WHAT)
]
Samples = Annotated[int, typer.Option(help="Images to generate and score per trial.", rich_help_panel=WHAT)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.", rich_help_panel=HOW)]
Precision = Annotated[
    str, typer.Option(help="auto, fp32 or bf16; auto is bf16 on GPUs that have it.", rich_help_panel=HOW)
]
Download = Annotated[
    bool, typer.Option("--download", help="Allow missing datasets to be downloaded.", rich_help_panel=HOW)
]
Data = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder of datasets; else $DPBENCH_DATA or your cache.", rich_help_panel=WHERE),
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of results.", rich_help_panel=WHERE)]


def load_plugins(plugins: list[Path] | None) -> None:
    """Runs plugin files, so that their names are known."""
    for path in plugins or []:
        load_plugin_file(path)


def split_names(text: str) -> list[str]:
    """The names in a list that commas separate; empty ones do not count."""
    return [name.strip() for name in text.split(",") if name.strip()]
