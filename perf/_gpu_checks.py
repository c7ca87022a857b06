"""Checks of `gpu.py`. Each check fills some cells of its section's table, even if it fails or raises an error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch

from dpbench.core.errors import PrivacyError

OUT_OF_TIME = "not run: out of time"


@dataclass(frozen=True)
class Setting:
    """Device of the checks (a torch device name), and whether to run the tiny form for CPUs."""

    device: str
    tiny: bool


@dataclass(frozen=True)
class Value:
    """A number and its verdict (None for no verdict). `why` is an explanation."""

    number: float | None
    passed: bool | None = None
    why: str = ""


@dataclass(frozen=True)
class Cell:
    """A value with its row and column in the section's table."""

    row: str
    column: str
    value: Value


@dataclass(frozen=True)
class Check:
    """One measurement, which fills `columns` of `row`."""

    row: str
    columns: tuple[str, ...]
    measure: Callable[[], Mapping[str, Value]]

    def cells(self, values: Mapping[str, Value]) -> Iterator[Cell]:
        """Cells of the check's columns in order, then those of other measured columns."""
        for column in dict.fromkeys([*self.columns, *values]):
            yield Cell(self.row, column, values.get(column, Value(None)))


def at_most(number: float, bound: float) -> Value:
    """Passes if the number is at most the bound; NaN fails."""
    return Value(number, number <= bound)


def run_checks(checks: Iterable[Check], deadline: float) -> Iterator[Cell]:
    """Runs all checks and yields their cells in order. An error in a check is shown in its cells; the others still run.

    Args:
        checks: the checks.
        deadline: time in seconds, as `time.time()`; later checks are not run, and their cells say so.
    """
    for check in checks:
        late = time.time() > deadline
        yield from check.cells(_in_all_columns(check, Value(None, None, OUT_OF_TIME)) if late else _values(check))


def _values(check: Check) -> Mapping[str, Value]:
    try:
        return check.measure()
    except PrivacyError as error:  # refusing unsupported cases is correct behaviour
        return _in_all_columns(check, Value(None, None, f"refused: {error}"))
    except ImportError as error:
        return _in_all_columns(check, Value(None, None, f"not installed: {error.name or error}"))
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return _in_all_columns(check, Value(None, None, "out of memory"))
    except Exception as error:  # the other checks must still run
        return _in_all_columns(check, Value(None, False, f"{type(error).__name__}: {error}"))


def _in_all_columns(check: Check, value: Value) -> Mapping[str, Value]:
    return dict.fromkeys(check.columns, value)
