"""Runs the checks of a plugin's kind: `dpbench check`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpbench.contracts import datasets, extractors, generators, methods, metrics, refiners, text_encoders
from dpbench.contracts.case import Case
from dpbench.contracts.promise import ContractError
from dpbench.core.data import DataOptions
from dpbench.core.errors import FOREIGN
from dpbench.core.registries import DATASETS, EXTRACTORS, GENERATORS, METHODS, METRICS, REFINERS, TEXT_ENCODERS

Check = Callable[[Any], None]
"""check(case): raises `ContractError` where the plugin breaks the promise that its docstring states."""

CHECKS: Mapping[str, Sequence[Check]] = {
    METHODS.kind: methods.CHECKS,
    DATASETS.kind: datasets.CHECKS,
    METRICS.kind: metrics.CHECKS,
    REFINERS.kind: refiners.CHECKS,
    EXTRACTORS.kind: extractors.CHECKS,
    TEXT_ENCODERS.kind: text_encoders.CHECKS,
    GENERATORS.kind: generators.CHECKS,
}
"""Kind of plugin -> its checks."""


@dataclass(frozen=True)
class Verdict:
    """The outcome of one check.

    Attributes:
        promise: what the check is about, in a sentence.
        broken: what is wrong and what to do; empty if the promise is kept.
        seconds: duration of the check.
    """

    promise: str
    broken: str
    seconds: float


def checks_of(kind: str) -> Sequence[Check]:
    """The checks of a kind of plugins, e.g. "method"."""
    return CHECKS[kind]


def case_of(
    kind: str, name: str, folder: Path, settings: Mapping[str, Any] | None = None, data: Path | None = None
) -> Case[Any]:
    """The case that a plugin's checks take.

    Args:
        kind: the plugin's kind.
        name: its registered name; for a dataset possibly with an argument, e.g. "folder:PATH".
        folder: an empty folder for the checks' files.
        settings: settings of a method, refiner, text encoder or generator that differ from its defaults.
        data: folder of a dataset's files.
    """
    plain, _, argument = name.partition(":")
    chosen = dict(settings or {})
    make: Mapping[str, Callable[[], Case[Any]]] = {
        METHODS.kind: lambda: methods.MethodCase(METHODS, name, folder, chosen),
        DATASETS.kind: lambda: datasets.DatasetCase(
            DATASETS, plain, folder, argument, options=DataOptions(data or folder, cache=folder / "cache")
        ),
        METRICS.kind: lambda: metrics.MetricCase(METRICS, name, folder),
        REFINERS.kind: lambda: refiners.RefinerCase(REFINERS, name, folder, chosen),
        EXTRACTORS.kind: lambda: extractors.ExtractorCase(EXTRACTORS, name, folder),
        TEXT_ENCODERS.kind: lambda: text_encoders.TextEncoderCase(TEXT_ENCODERS, name, folder, chosen),
        GENERATORS.kind: lambda: generators.GeneratorCase(GENERATORS, name, folder, chosen),
    }
    return make[kind]()


def verdicts(case: Case[Any]) -> Iterator[Verdict]:
    """Yields the outcome of each check of the plugin's kind as soon as it is known."""
    for check in checks_of(case.registry.kind):
        start = time.perf_counter()
        broken = _broken(check, case)
        yield Verdict((check.__doc__ or "").partition("\n")[0], broken, time.perf_counter() - start)


def _broken(check: Check, case: Case[Any]) -> str:
    try:
        check(case)
    except ContractError as error:
        return str(error)
    except FOREIGN as error:
        return f"{case.name} raises {type(error).__name__}: {' '.join(str(error).split())}"
    return ""
