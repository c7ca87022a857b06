"""Files that are either whole or absent, and short content hashes."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dpbench.core.errors import DpbenchError, RunError

TEMPORARY = ".tmp-"
"""Prefix of the names of unfinished files. A killed process leaves such files behind; nothing reads them."""


def write_atomic(path: Path, write: Callable[[Path], object], private: bool = False) -> None:
    """Writes a file through `write(temporary)` and renames it into place; a crash at any point leaves the old file.

    If `path` is a link, the file that it names is written. A pipe or a device, such as /dev/stdout, gets the content of
    the finished temporary file.

    Args:
        private: whether only the owner may read it (mode 0600).

    Raises:
        RunError: the folder cannot be written, or the disk is full; `path` keeps its old content.
        DpbenchError: `path` is a folder, or its folder is a file.
    """
    temporary = None
    try:
        takes_bytes = _takes_bytes(path)
        target = Path(tempfile.gettempdir(), path.name) if takes_bytes else Path(os.path.realpath(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f"{TEMPORARY}{path.stem}-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        if takes_bytes:
            path.write_bytes(temporary.read_bytes())
            return
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        if not private:
            temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    except OSError as error:
        if path.is_dir():
            raise DpbenchError(f"cannot write {path}: a folder has this name; move it away") from error
        if isinstance(error, FileExistsError | NotADirectoryError):
            raise DpbenchError(f"cannot write {path}: its folder is a file; choose another folder") from error
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _takes_bytes(path: Path) -> bool:
    """Whether there is a pipe, a device or a socket at `path`, which must not be replaced."""
    return path.exists() and not (path.is_file() or path.is_dir())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def is_there(path: Path) -> bool:
    """Whether there is anything at `path`: a file, a folder, a dangling link, or a path that may not be inspected."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def remove(path: Path) -> None:
    """Removes a file, a link, or a folder with its content; nothing happens if there is none.

    Raises:
        DpbenchError: it cannot be removed.
    """
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except NotADirectoryError:  # its parent is not a folder
        return
    except OSError as error:
        raise DpbenchError(f"cannot remove {path}: {error.strerror or error}") from error


def remove_unfinished(folder: Path, stem: str = "", others: tuple[str, ...] = ()) -> None:
    """Removes the unfinished files of killed processes in `folder` and below. Call it only if nobody else writes there.

    Args:
        stem: removes only those of files with this name, without suffix.
        others: how the names of folders begin in which other processes may write; they are not entered.
    """
    prefix = f"{TEMPORARY}{stem}-" if stem else TEMPORARY
    for place, below, files in os.walk(folder):
        below[:] = [name for name in below if not name.startswith(others)]
        for name in (*below, *files):
            if name.startswith(prefix):
                remove(Path(place, name))


def write_text(path: Path, text: str, private: bool = False) -> None:
    """Writes a UTF-8 text file atomically; see `write_atomic`. Undecodable bytes of file names are written escaped."""
    content = text.encode(errors="backslashreplace")
    write_atomic(path, lambda temporary: temporary.write_bytes(content), private)


def write_json(path: Path, value: Any) -> None:
    """Writes JSON atomically, indented, keys in the order given; infinities and NaN become "inf" and "nan"."""
    write_text(path, json.dumps(finite(value), indent=2, ensure_ascii=False) + "\n")


def finite(value: Any) -> Any:
    """A JSON-like value with the strings "inf" and "nan" in place of numbers that JSON lacks."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path) -> Any:
    """Reads a JSON file. NaN and Infinity, which `write_json` never writes, count as damage.

    Raises:
        DpbenchError: the file is missing or damaged; the message names it.
    """
    with reading(path):
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns the errors of reading a missing or damaged file into one line.

    Raises:
        DpbenchError: the file cannot be read; the message names it.
    """
    try:
        yield
    except RecursionError as error:
        raise DpbenchError(f"cannot read {path}: it is nested too deeply") from error
    except OSError as error:
        raise DpbenchError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise DpbenchError(f"cannot read {path}: {error}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not valid JSON")


def digest(value: Any, length: int = 16) -> str:
    """A short hexadecimal SHA-256 of any JSON-like value (key order does not matter)."""
    text = json.dumps(value, sort_keys=True, default=str)
    if "Infinity" in text:  # rare, and looking at every number takes long
        text = json.dumps(finite(value), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]
