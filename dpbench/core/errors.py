"""The errors a user can mend. The command line prints their message as one line and exits with code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DpbenchError(Exception):
    """Something the user can mend; the message says what is wrong and what to do, in one line."""


class UnknownName(DpbenchError):
    """A name that no plugin, column or configuration key carries; offers the nearest known ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]):
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names) or 'none'}"
        super().__init__(f"unknown {kind} '{name}'; {hint}")


class ConfigError(DpbenchError):
    """A configuration value of the wrong type, or one that contradicts the dataset or the other values."""


class DataError(DpbenchError):
    """A dataset that is missing, empty or damaged; the message names the file or folder."""


class PrivacyError(DpbenchError):
    """A query outside the plan, a plan that exceeds its budget, or a computation that mixes records."""


class MissingScore(Exception):
    """Raised by a metric that cannot be computed here; its cells stay empty and the message goes into the row."""


class NotInstalled(DpbenchError, MissingScore):
    """Pretrained weights or an optional package are not here; the message names the command that gets them.

    Metrics leave their cells empty with this reason; whatever cannot do without it stops.
    """
