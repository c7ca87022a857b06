"""Train/test split of files without a given split: each record is assigned by its own path's hash alone (rule R6)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from dpbench.core.errors import DataError

TEST_SHARE = 0.1


def falls_into_test(path: str) -> bool:
    """Whether the record at this relative path belongs to the test split."""
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:8], "big") < TEST_SHARE * 2**64


def split_by_hash(paths: Iterable[str], where: object) -> tuple[list[str], list[str]]:
    """(train, test): about 90% and 10% of the relative paths, in the order given.

    Raises:
        DataError: one of the splits would be empty; the message names `where`.
    """
    train: list[str] = []
    test: list[str] = []
    for path in paths:
        (test if falls_into_test(path) else train).append(path)
    if not train or not test:
        found = len(train) + len(test)
        raise DataError(f"{where} has only {found} images, too few to split; add more, or add train/ and test/ folders")
    return train, test
