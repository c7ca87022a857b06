"""Whether a vault answers. A vault and all that are derived from it share one door."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from dpbench.core.errors import DpbenchError, PrivacyError
from dpbench.privacy.checks.source_location import origin

T = TypeVar("T")


class Door:
    """Open until it is closed, for good.

    Args:
        shows_errors: whether messages of exceptions may show values of records (a public benchmark's).
    """

    def __init__(self, shows_errors: bool):
        self._shows_errors = shows_errors
        self._closed: str | None = None

    def require_open(self) -> None:
        """Raises `PrivacyError`, and says why, if the vault is closed."""
        if self._closed is not None:
            raise PrivacyError(f"the vault is closed: {self._closed}")

    def close(self, reason: str) -> None:
        """Closes the vault; the first reason stays."""
        self._closed = self._closed or reason

    def behind(self, what: str, compute: Callable[[], T]) -> T:
        """What `compute` makes of private records. If it breaks off, the vault closes.

        Whether and where code breaks off on private records says something of them, and to draw another sample
        instead would be one that nobody pays for. Of an exception on records that are no public benchmark's only type
        and line are shown: its message, and what led to it, may hold labels and pixels.

        Args:
            what: the computation's name in messages.
            compute: samples, sums, adds noise and writes the receipt.

        Raises:
            PrivacyError: in the place of another exception; or what `compute` raised.
        """
        try:
            return compute()
        except BaseException as error:
            self.close(f"{what} broke off ({type(error).__name__}) when records were drawn already; start the run anew")
            if self._shows_errors or isinstance(error, DpbenchError) or not isinstance(error, Exception):
                raise
            failure = f"{what} raised {type(error).__name__} at {origin(error)}"
        raise PrivacyError(f"{failure}; its message may hold private values and is not shown")
