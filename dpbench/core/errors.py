"""User-fixable errors. The command line prints their message in one line and exits with their code."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

WRONG_REQUEST = 2
"""Exit code: the request is wrong, and nothing ran. Also used for unknown options."""

UNFINISHED = 3
"""Exit code: a part of the request failed. Finished parts are kept."""


class DpbenchError(Exception):
    """A user-fixable error; its one-line message says what is wrong and what to do.

    Attributes:
        exit_code: the command line's exit code.
    """

    exit_code: int = WRONG_REQUEST


class UnknownName(DpbenchError):
    """A name that no plugin, column or setting has; the message suggests the nearest known names.

    Case, hyphens and underscores are ignored: "CIFAR-10" matches "cifar10".
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]):
        names = sorted(known)
        near = _nearest(name, names)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names) or 'none'}"
        super().__init__(f"unknown {kind} '{name}'; {hint}")


def _nearest(name: str, names: Sequence[str]) -> list[str]:
    """The names that equal `name` when folded, or else up to three similar ones."""
    folded: dict[str, list[str]] = {}
    for known in names:
        folded.setdefault(_folded(known), []).append(known)
    if equal := folded.get(_folded(name)):
        return equal
    similar = difflib.get_close_matches(_folded(name), folded, n=3, cutoff=0.5)
    return [known for fold in similar for known in folded[fold]][:3]


def _folded(name: str) -> str:
    return name.casefold().replace("-", "").replace("_", "")


class ConfigError(DpbenchError):
    """A configuration value of the wrong type, or one that does not fit the dataset or other values."""


class DataError(DpbenchError):
    """A dataset that is missing, empty or damaged; the message names the file or folder."""


class RunError(DpbenchError):
    """An error that every further trial of the run would meet as well, such as a full disk. It ends the run at once."""

    exit_code = UNFINISHED


class ChangedData(DataError, RunError):
    """Images that changed, or are gone, while a run worked with them."""


class PrivacyError(DpbenchError):
    """A query outside the plan, a plan that exceeds its budget, or a computation that mixes records."""


class MissingScore(Exception):
    """Raised by a metric that cannot be computed; its cells stay empty and the message is a note of the row."""


class NotInstalled(DpbenchError, MissingScore):
    """Pretrained weights or an optional package are missing; the message names the command that installs them.

    A metric leaves its cells empty for this reason; everything else stops with this error.
    """


class DamagedWeights(DataError, MissingScore):
    """A file of pretrained weights is not the published one; has the same effect as `NotInstalled`."""


FOREIGN = (Exception, SystemExit)
"""What the code of a plugin may raise. `sys.exit()` in it is an error like any other: it must not end a run as if the
run were complete."""


@contextmanager
def foreign_code(what: str, kind: type[DpbenchError] = DpbenchError, hint: str = "") -> Iterator[None]:
    """Turns any error of a plugin into one line that says what failed.

    Args:
        what: the beginning of the line.
        kind: the class of the error.
        hint: the end of the line.

    Raises:
        DpbenchError: of class `kind`; one that the plugin raises passes unchanged.
    """
    try:
        yield
    except DpbenchError:
        raise
    except FOREIGN as error:
        raise kind(f"{what} failed: {one_line(error)}{hint}") from error


def one_line(error: BaseException) -> str:
    """The class of an error and the first line of its message, if it has one: "ValueError: too large"."""
    return f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ")


def reason(error: BaseException) -> str:
    """The first line of an error's message, without a full stop or colon at its end; its class if there is none."""
    return next(iter(str(error).strip().splitlines()), "").rstrip(".:") or type(error).__name__
