"""The command that reproduces a row, from the request that its trial recorded."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

from dpbench.benchmark.command_words import given, text_of
from dpbench.benchmark.request import FIELDS, RunRequest
from dpbench.core.errors import DpbenchError
from dpbench.results.record import TrialRecord


def row_command(record: TrialRecord, seeds: int) -> str:
    """A command that reproduces a row, if its data and plugins are where they were; "" if none is known.

    Args:
        record: the record of the row's first trial.
        seeds: the row's number of seeds.
    """
    try:
        request = _stored(record.request)
    except (DpbenchError, TypeError, ValueError):  # a request of another version
        return ""
    if record.reference == "external":
        claims = {"--eps": record.epsilon, "--delta": record.delta, "--public": record.public_source or None}
        words = [word for flag, value in claims.items() if value is not None for word in (flag, f"{value}")]
        words += ["--dataset", request.dataset]  # `dpbench evaluate` has no default dataset
        place = given(request, "resolution", "metrics", "protocol", "public_benchmark", "plugins")
        return shlex.join(["dpbench", "evaluate", "IMAGES", "--name", record.method, *words, *place])
    row = replace(request, methods=_method(record, request), epsilons=_epsilons(record), seeds=seeds, settings={},
                  references=(record.reference,) if record.reference in ("real", "public") else ())  # fmt: skip
    others = [name for name in FIELDS if name not in ("methods", "epsilons")]
    return shlex.join(["dpbench", "run", *given(row, "methods"), "--eps", text_of(row.epsilons), *given(row, *others)])


def _stored(content: dict[str, Any]) -> RunRequest:
    """The request that trial.json holds."""
    return RunRequest.of(**{name: value for name, value in content.items() if name in FIELDS})


def _method(record: TrialRecord, request: RunRequest) -> tuple[str, ...]:
    """The method with the settings that differ from its preset; for real images, any method of the run."""
    if record.reference == "real":
        return tuple(request.methods[:1])
    return (f"{record.method}[{record.variant}]" if record.variant else record.method,)


def _epsilons(record: TrialRecord) -> tuple[float, ...]:
    """ε of the row; empty for real images and public data, which need no private run."""
    return () if record.reference in ("real", "public") or record.epsilon is None else (record.epsilon,)
