"""The user's secret key, which hashes the fingerprints of undeclared datasets before they are shown (rule R9)."""

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
    """The key, drawn from the operating system's random source on first use and written atomically.

    Args:
        state: folder of the key file.
        cache: folder in which earlier versions kept the key; an intact key there is moved to `state`.

    Returns:
        `BYTES` bytes.

    Raises:
        DpbenchError: the key cannot be written, or its file is damaged. With a short key, records could be guessed.
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
            f"{path} is damaged ({len(key)} bytes, not {BYTES}): restore a backup, or delete it; then a new key "
            "is drawn, and every dataset that is not declared public counts as a new one"
        )
    return key


def _make(path: Path, earlier: Path) -> None:
    earlier_key = earlier.read_bytes() if earlier.exists() else b""
    key = earlier_key if len(earlier_key) == BYTES else secrets.token_bytes(BYTES)
    write_atomic(path, lambda temporary: temporary.write_bytes(key), private=True)
    if key == earlier_key:
        with suppress(OSError):  # a second copy is harmless
            earlier.unlink()
