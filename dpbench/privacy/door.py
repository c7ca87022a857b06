"""The state that decides whether a vault answers queries. A vault and all vaults derived from it share one door."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from dpbench.core.errors import DataError, DpbenchError, PrivacyError
from dpbench.privacy.checks.source_location import origin

T = TypeVar("T")


class Door:
    """Open until closed; once closed, it stays closed.

    Args:
        shows_errors: whether messages of exceptions may show values of records (those of a public benchmark).
    """

    def __init__(self, shows_errors: bool):
        self._shows_errors = shows_errors
        self._closed: str | None = None

    def require_open(self) -> None:
        """Raises `PrivacyError` with the reason if the vault is closed."""
        if self._closed is not None:
            raise PrivacyError(f"the vault is closed: {self._closed}")

    def close(self, reason: str) -> None:
        """Closes the vault; the first reason is kept."""
        self._closed = self._closed or reason

    def behind(self, what: str, compute: Callable[[], T]) -> T:
        """The result of a computation on private records. If it fails, the vault closes.

        Whether and where code fails on private records depends on them, and drawing another sample instead would be an
        unaccounted release. Unless the dataset is a public benchmark, only the type and line of an exception are shown:
        its message and context may contain labels and pixels.

        Args:
            what: the computation's name in messages.
            compute: draws the sample, sums, adds noise and writes the receipt.

        Raises:
            PrivacyError: in place of another exception, unless the dataset is a public benchmark; else the exception of
                `compute`.
        """
        try:
            return compute()
        except BaseException as error:
            self.close(f"{what} failed ({type(error).__name__}) after records were drawn; start the run over")
            is_safe = isinstance(error, DpbenchError) and not isinstance(error, DataError)  # which names a file
            if self._shows_errors or is_safe or not isinstance(error, Exception):
                raise
            failure = f"{what} raised {type(error).__name__} at {origin(error)}"
        raise PrivacyError(f"{failure}; its message may contain private values and is not shown")
