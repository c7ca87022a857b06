"""Shared by the scripts: running all candidates and reference rows, one-line errors, and the exit status."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import typer

from dpbench.core.errors import DpbenchError
from experiments._candidates import Entry, Request, command
from experiments._jobs import Job, run_jobs


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Prints a `DpbenchError` as one line and ends the script with status 2."""
    try:
        yield
    except DpbenchError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from error


def run_all(competing: Sequence[Entry], request: Request, parallel: int) -> list[str]:
    """Runs all unfinished trials, one job per candidate and dataset; returns the names of the failed jobs."""
    jobs = [Job(f"{e.task.dataset}, {e.candidate.name}", command(e.task, e.candidate, request)) for e in competing]
    return run_jobs(jobs, parallel, lambda line: print(line, file=sys.stderr))


def run_framed(competing: Sequence[Entry], request: Request, parallel: int) -> list[str]:
    """Runs all unfinished trials; returns the names of the failed jobs.

    Unverified candidates do not depend on ε, and the `real` row is shared: both are computed once.
    """
    own = replace(request, references=tuple(name for name in request.references if name != "real"))
    alone = [e for e in competing if e.candidate.unverified]
    failed = run_all([e for e in competing if not e.candidate.unverified], own, parallel)
    failed += run_all(alone, replace(request, epsilons=request.epsilons[:1], references=()), parallel)
    if own != request and not failed:
        failed = run_all(competing[:1], request, parallel)
    return failed


def exit_if_failed(failed: Sequence[str]) -> None:
    """Ends the script with status 1 and names the failed jobs, if there are any."""
    if failed:
        print(f"error: failed: {', '.join(failed)}; run the same command again to continue", file=sys.stderr)
        raise typer.Exit(1)
