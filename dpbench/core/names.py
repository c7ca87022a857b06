"""Checks that names of files, classes and datasets can be printed in one line and stored."""

from __future__ import annotations

import unicodedata

from dpbench.core.errors import DataError

UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}
"""Unicode categories: control characters, bytes that are not UTF-8 (surrogates), line and paragraph separators."""

MOST_BYTES = 255
"""Longest file name on common file systems."""


def check_name(name: str, what: str) -> None:
    """Checks that a name has no line breaks, control characters or bytes that are not UTF-8, and is not too long.

    Args:
        name: name of one file, folder or class.
        what: the kind of name in messages, e.g. "class".

    Raises:
        DataError: the name is refused; the message shows it in one line.
    """
    if not name.isprintable() and any(unicodedata.category(character) in UNPRINTABLE for character in name):
        raise DataError(
            f"the {what} name {name!a} has line breaks, control characters or bytes that are not UTF-8; rename it"
        )
    if len(name.encode()) > MOST_BYTES:
        raise DataError(f"the {what} name '{name[:40]}...' is longer than {MOST_BYTES} bytes; shorten it")
