"""The user's secret key, with which fingerprints of undeclared datasets are made before they are shown (rule R9)."""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from dpbench.core.errors import DpbenchError
from dpbench.core.files import write_atomic

FILE = "fingerprint.key"
BYTES = 32


def fingerprint_key(state: Path, cache: Path) -> bytes:
    """The key, drawn from the operating system when it is first needed. The file is whole or absent, at any time.

    Args:
        state: the folder that holds it.
        cache: where earlier versions kept it; a whole one that lies there moves over.

    Returns:
        `BYTES` bytes.

    Raises:
        DpbenchError: it cannot be written, or it is damaged. A short key could be guessed, and with it a record.
    """
    path = state / FILE
    try:
        state.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                _make(path, cache / FILE)
            key = path.read_bytes()
    except OSError as error:
        raise DpbenchError(f"cannot write {path}: {error.strerror or error}") from error
    if len(key) != BYTES:
        raise DpbenchError(
            f"{path} is damaged ({len(key)} bytes, not {BYTES}): put a backup in its place, or delete it; then a new "
            "key is drawn, and every dataset that is not declared public counts as a new one"
        )
    return key


def _make(path: Path, earlier: Path) -> None:
    taken_over = earlier.read_bytes() if earlier.exists() else b""
    key = taken_over if len(taken_over) == BYTES else secrets.token_bytes(BYTES)
    write_atomic(path, lambda temporary: temporary.write_bytes(key), private=True)
    if key == taken_over:
        with suppress(OSError):  # a second copy does no harm
            earlier.unlink()
