"""Files that are either whole or absent, and short content hashes."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dpbench.core.errors import DpbenchError, RunError


def write_atomic(path: Path, write: Callable[[Path], object], private: bool = False) -> None:
    """Writes a file through `write(temporary)` and renames it into place; a crash at any point leaves the old file.

    Args:
        private: whether only the owner may read it (mode 0600).

    Raises:
        RunError: the folder cannot be written, or the disk is full; `path` keeps its old content.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        if not private:
            temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str, private: bool = False) -> None:
    """Writes a UTF-8 text file atomically; see `write_atomic`."""
    write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"), private)


def write_json(path: Path, value: Any, private: bool = False) -> None:
    """Writes JSON atomically, indented, keys in the order given; infinities become the string "inf"."""
    write_text(path, json.dumps(_finite(value), indent=2, ensure_ascii=False) + "\n", private)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and value in (float("inf"), float("-inf")) else value


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        DpbenchError: the file is missing or damaged; the message names it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DpbenchError(f"cannot read {path}: {error}") from error


def digest(value: Any, length: int = 16) -> str:
    """A short hexadecimal SHA-256 of any JSON-like value (key order does not matter)."""
    text = json.dumps(value, sort_keys=True, default=str)
    if "Infinity" in text:  # rarely, and looking at every number takes long
        text = json.dumps(_finite(value), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]
