"""What `gpu.py` is made of: checks, each of which fills some cells of its section's table, whatever happens in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch

from dpbench.core.errors import PrivacyError

OUT_OF_TIME = "not run: out of time"


@dataclass(frozen=True)
class Setting:
    """Where the checks run: a torch device name, and whether in the tiny form, for a CPU."""

    device: str
    tiny: bool


@dataclass(frozen=True)
class Value:
    """A number and its verdict: None where nothing is judged. `why` says what the number does not."""

    number: float | None
    passed: bool | None = None
    why: str = ""


@dataclass(frozen=True)
class Cell:
    """A value in its place in the section's table."""

    row: str
    column: str
    value: Value


@dataclass(frozen=True)
class Check:
    """One measurement: it fills `columns` of `row`."""

    row: str
    columns: tuple[str, ...]
    measure: Callable[[], Mapping[str, Value]]

    def cells(self, values: Mapping[str, Value]) -> Iterator[Cell]:
        """The check's own columns in order, then what else was measured."""
        for column in dict.fromkeys([*self.columns, *values]):
            yield Cell(self.row, column, values.get(column, Value(None)))


def at_most(number: float, bound: float) -> Value:
    """Passes up to the bound; what is not a number does not."""
    return Value(number, number <= bound)


def run_checks(checks: Iterable[Check], deadline: float) -> Iterator[Cell]:
    """The cells of all checks in order. A check that breaks off says so in its cells and stops no other.

    Args:
        deadline: in `time.time()`; checks that have not begun by then are left out, and say so.
    """
    for check in checks:
        late = time.time() > deadline
        yield from check.cells(_throughout(check, Value(None, None, OUT_OF_TIME)) if late else _values(check))


def _values(check: Check) -> Mapping[str, Value]:
    try:
        return check.measure()
    except PrivacyError as error:  # a refusal protects; it is no wrong number
        return _throughout(check, Value(None, None, f"refused: {error}"))
    except ImportError as error:
        return _throughout(check, Value(None, None, f"not installed: {error.name or error}"))
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return _throughout(check, Value(None, None, "out of memory"))
    except Exception as error:  # whatever it is, the other checks have to run
        return _throughout(check, Value(None, False, f"{type(error).__name__}: {error}"))


def _throughout(check: Check, value: Value) -> Mapping[str, Value]:
    return dict.fromkeys(check.columns, value)
