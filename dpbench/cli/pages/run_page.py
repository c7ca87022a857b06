"""The lines after the table of `dpbench run`: the paths of the sheet and the experiment, and what to try next."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice

from dpbench.benchmark.command_words import given, text_of
from dpbench.benchmark.commands.running import Finished
from dpbench.benchmark.configure import configure, plan_of
from dpbench.benchmark.request import RunRequest
from dpbench.cli.options import RUN
from dpbench.core.errors import DpbenchError
from dpbench.core.specs import DatasetSpec
from dpbench.core.variants import parse_variant
from dpbench.results.metric_columns import headline_columns

COMPANIONS = ("dp-merf", "wavelet")
"""Methods to suggest as a comparison: the quickest one, and one that uses public images."""

COMMANDS = 3
WIDTH = 80


def after_the_table(request: RunRequest, finished: Finished) -> Iterator[str]:
    """Lines of text: the sheet, the experiment, and `COMMANDS` commands that work, each with its purpose."""
    if finished.sheet is not None:
        yield f"images side by side: {finished.sheet}"
    yield f"this run as a file for --config: {finished.experiment}"
    found = list(islice(_commands(request, finished), COMMANDS))
    widest = max(len(command) for command, _ in found)
    beside = [f"  {command:<{widest}}  # {purpose}" for command, purpose in found]
    above = [line for command, purpose in found for line in (f"  # {purpose}", f"  {command}")]
    yield "try next:"
    yield from beside if max(map(len, beside)) <= WIDTH else above


def _commands(request: RunRequest, finished: Finished) -> Iterator[tuple[str, str]]:
    """(command, purpose), the most useful ones first."""
    place = given(request, "plugins", "out")
    scored = [c.name for c in headline_columns() if finished.rows[c.name].notna().any()]
    if len(scored) > 1:
        yield shlex.join(["dpbench", "leaderboard", "--by", scored[1], *place]), "rank by another metric"
    yield from _shown_plan(request)
    yield from _companion(request, finished.spec)
    yield shlex.join(["dpbench", "leaderboard", "--csv", "leaderboard.csv", *place]), "every column, for other programs"
    yield "dpbench list methods", "what else can be compared"
    yield "dpbench list datasets", "what else to compare it on"


def _shown_plan(request: RunRequest) -> Iterator[tuple[str, str]]:
    """The plan of the first method, if its declaration is enough to make the plan."""
    finite = [epsilon for epsilon in request.epsilons if math.isfinite(epsilon)]
    if not finite:
        return
    name = request.methods[0]
    own = {k: v for k, v in request.settings.items() if k.partition(":")[0] in (k, parse_variant(name).method)}
    (method,) = configure((name,), request.dataset, request.preset, own, request.public)
    if not method.auto:
        options = (
            "dataset",
            "delta",
            "public",
            "preset",
            "settings",
            "samples",
            "resolution",
            "public_benchmark",
            "data",
            "plugins",
        )
        words = ["--eps", f"{finite[0]:.12g}", *given(replace(request, settings=own), *options)]
        yield shlex.join(["dpbench", "show", name, *words]), "where its budget goes"


def _companion(request: RunRequest, spec: DatasetSpec) -> Iterator[tuple[str, str]]:
    """The run with one more method. Never suggested for private images: every private run adds to their ε."""
    names = list(dict.fromkeys(parse_variant(method).method for method in request.methods))
    companion = next((name for name in COMPANIONS if name not in names), None)
    if companion is None or not request.epsilons or not spec.public_benchmark:
        return
    shared = {f"{name}:{key}": value for key, value in request.settings.items() if ":" not in key for name in names}
    settings = shared | {key: value for key, value in request.settings.items() if ":" in key}
    wider = replace(request, methods=(*request.methods, companion), settings=settings)
    with suppress(DpbenchError):  # the method may lack the preset, or not suit the dataset
        *_, method = configure(wider.methods, wider.dataset, wider.preset, wider.settings, wider.public)
        plan_of(method.method, method.config, spec, wider.samples_of(spec))
        left_out = ("methods", "epsilons", "force", "fail_fast", "download")
        others = [name for name in (*RUN, "plugins") if name not in left_out]
        words = [*given(wider, "methods"), "--eps", text_of(wider.epsilons), *given(wider, *others)]
        yield shlex.join(["dpbench", "run", *words]), "compare another method"
