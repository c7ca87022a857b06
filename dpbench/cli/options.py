"""Command-line options, made from the fields of `RunRequest`.

    @takes("dataset", "epsilons", "data")
    def command(request: RunRequest, name: Annotated[str, typer.Option()]) -> None: ...

The command then has the options --dataset, --eps and --data beside its own, and receives the request made from them.
With `takes_values`, it receives their values instead.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field
from pathlib import Path
from typing import Annotated, Any

import typer

from dpbench.benchmark.command_words import flag_of, text_of
from dpbench.benchmark.request import FIELDS, HINTS, WHERE, RunRequest
from dpbench.cli import completion

RUN = (
    *("methods", "dataset", "epsilons", "delta", "seeds", "public", "references", "preset", "settings", "samples"),
    *("prompts", "metrics", "protocol", "resolution", "public_benchmark", "device", "precision"),
    *("launcher", "workers", "gpus", "job", "force", "fail_fast"),
    *("track", "download", "noise_seed", "data", "out"),
)
"""The fields that are options of `dpbench run`."""
REPEATED = {"settings": list[str], "job": list[str], "plugins": list[Path]}
"""Fields whose option may be given more than once."""

JsonOption = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON, for scripts.")]
"""The option of commands whose result other programs may want."""


TrialArgument = Annotated[
    str,
    typer.Argument(
        metavar="TRIAL",
        help="A trial's folder, or the beginning of its key (the folder's name).",
        autocompletion=completion.trials,
    ),
]
"""The argument of commands that work on one trial."""

ResultsOption = Annotated[
    Path, typer.Option(metavar="DIR", help="Folder of results in which to look up a key.", rich_help_panel=WHERE)
]
"""The option of the same commands for the folder of trials."""


Decorator = Callable[[Callable[..., None]], Callable[..., None]]


def takes(*names: str, help: Mapping[str, str] | None = None, **defaults: Any) -> Decorator:
    """Adds options of `RunRequest` to a command, and passes the request as its argument `request`.

    Args:
        names: fields whose options the command has.
        help: field -> the help of its option, where it differs from that of `dpbench run`.
        defaults: field -> its default, where it differs from that of `dpbench run`; `...` makes the option required.
    """
    return _takes(names, help or {}, defaults, "request", loaded)


def takes_values(*names: str) -> Decorator:
    """Adds options of `RunRequest` to a command that may find further values elsewhere, such as in a file.

    The command gets the values of the options, which may be a request only together with the others, as its argument
    `values`: field -> value.

    Args:
        names: fields whose options the command has.
    """
    return _takes(names, {}, {}, "values", dict)


def loaded(values: Mapping[str, Any]) -> RunRequest:
    """The request with these values; its plugins are loaded."""
    request = RunRequest(**values)
    request.load_plugins()
    return request


def _takes(
    names: Sequence[str],
    help: Mapping[str, str],
    defaults: Mapping[str, Any],
    argument: str,
    made_of: Callable[[Mapping[str, Any]], Any],
) -> Decorator:
    """Adds options to a command, and passes what is made of their values as one argument."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        chosen = [*names, "plugins"]
        hints = typing.get_type_hints(command, include_extras=True)
        own = [p.replace(annotation=hints[name]) for name, p in inspect.signature(command).parameters.items()
               if name != argument]  # fmt: skip
        shared = [_parameter(FIELDS[name], help.get(name), defaults.get(name, MISSING)) for name in chosen]

        @functools.wraps(command)
        def with_options(**given: Any) -> None:
            values = {name: _parsed(FIELDS[name], given.pop(name)) for name in chosen}
            command(**{argument: made_of(values)}, **given)

        with_options.__signature__ = inspect.Signature(own + shared)  # type: ignore[attr-defined]
        with_options.__annotations__ = {p.name: p.annotation for p in own + shared}
        return with_options

    return decorate


def _parameter(field: Field[Any], help: str | None, default: Any) -> inspect.Parameter:
    """The option of one field."""
    metadata = field.metadata
    option = typer.Option(
        flag_of(field),
        metavar="" if HINTS[field.name] is bool else metadata["metavar"] or None,  # a flag takes no value
        help=help or metadata["help"],
        rich_help_panel=metadata["panel"],
        hidden=metadata["hidden"],
        autocompletion=completion.OPTIONS.get(field.name),
    )
    if field.name in REPEATED:
        annotation: Any = Annotated[REPEATED[field.name] | None, option]
        shown = None
    else:
        kind = str if metadata["parse"] else HINTS[field.name]
        annotation = Annotated[kind, option]
        value = field.default if default is MISSING else default
        shown = text_of(value) if metadata["parse"] and value is not ... else value
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        annotation=annotation,
        default=inspect.Parameter.empty if default is ... else shown,
    )


def typed(context: typer.Context, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those values whose options are on the command line."""
    return {name: value for name, value in values.items() if _is_typed(context, name)}


def _is_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _parsed(field: Field[Any], value: Any) -> Any:
    parse = field.metadata["parse"]
    if field.name in REPEATED:
        return parse(value or []) if parse else tuple(value or ())
    return parse(value) if parse else value
