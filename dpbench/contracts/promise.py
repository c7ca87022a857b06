"""The error of a broken promise, and the functions with which checks raise it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dpbench.core.errors import FOREIGN, DpbenchError, one_line


class ContractError(DpbenchError):
    """A plugin breaks a promise of its kind; the message says which one and what to do."""


def require(kept: bool, broken: str) -> None:
    """Raises `ContractError` with the message `broken` unless the promise is kept."""
    if not kept:
        raise ContractError(broken)


@contextmanager
def must_work(what: str) -> Iterator[None]:
    """Reports any error in the block as a broken promise.

    Args:
        what: what the block does, as the subject of the message.

    Raises:
        ContractError: the block failed.
    """
    try:
        yield
    except ContractError:
        raise
    except FOREIGN as error:
        raise ContractError(f"{what} must work, but raises {one_line(error)}") from error
