"""The states that an attempt at a trial stores, so that the next attempt can continue."""

from __future__ import annotations

import re
import shutil
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from dpbench.core.errors import PrivacyError
from dpbench.core.files import digest, is_there, write_atomic
from dpbench.core.stopwatch import Stopwatch

T = TypeVar("T")

CHECKPOINTS = "checkpoints"
"""Name of the folder of a trial's checkpoints, in the trial's folder."""

KEYS = "*.key"
"""Names of files with a secret key, such as the key of a trial's noise."""


class Checkpoints:
    """The stored states of one phase of a trial, in a folder.

    A file's name ends in a hash of the code and of everything else that its content depends on, so states of other code
    or other settings are never loaded.

    Args:
        folder: where the files are; None stores nothing.
        writes: False for a process that only loads states, which another process of the same run stores.
        code: hash of the code that makes the states and reads them; see `closure.code_of`.
        say: shows a line, such as the step at which training continues; by default nowhere.

    Attributes:
        say: the same function.
        stopwatch: measures the phase; a state is stored together with the time that it took.

    Raises:
        PrivacyError: there is a folder but no hash: states of any code would be loaded.
    """

    def __init__(self, folder: Path | None, writes: bool = True, code: str = "", say: Callable[[str], object] = str):
        if folder is not None and not code:
            raise PrivacyError("checkpoints are stored under a hash of the code that makes them, but none is given")
        self.folder, self.say = folder, say
        self.stopwatch = Stopwatch(folder / f".seconds.{digest(code)}.json" if folder is not None and writes else None)
        self._writes = writes
        self._code = code
        self._met: Counter[str] = Counter()

    def next(self, name: str, key: Any) -> Checkpoint:
        """The state of the next phase called `name`: phases with the same name are numbered."""
        self._met[name] += 1
        return self.state(f"{name} {self._met[name]}", key)

    def state(self, name: str, key: Any) -> Checkpoint:
        """The state called `name`.

        Args:
            name: unique within the folder.
            key: everything that it depends on besides the code (JSON-like).
        """
        if self.folder is None:
            return Checkpoint(None, False, self.stopwatch)
        slug = re.sub(r"\W+", "-", name, flags=re.ASCII).strip("-")[:80]
        made_by = digest([name, key, self._code])
        return Checkpoint(self.folder / f"{slug}.{made_by}.pt", self._writes, self.stopwatch)


class Checkpoint:
    """One stored state: a file that is whole or absent.

    Args:
        path: None stores nothing.
        writes: whether to write it.
        stopwatch: measures its phase.
    """

    def __init__(self, path: Path | None, writes: bool, stopwatch: Stopwatch):
        self._path = path
        self._writes = writes
        self._stopwatch = stopwatch

    def load(self, read: Callable[[Path], T]) -> T | None:
        """The state, read by `read`; None if there is none for this code and these settings, or if it is damaged."""
        if self._path is None:
            return None
        if not self._path.exists():
            slug = self._path.name.split(".")[0]
            if any(self._path.parent.glob(f"{slug}.*.pt")):
                warnings.warn(f"a checkpoint of other code or settings is not used: {slug}", stacklevel=2)
            return None
        try:
            with zipfile.ZipFile(self._path) as archive:
                if damaged := archive.testzip():  # torch itself does not compare the checksums
                    raise zipfile.BadZipFile(damaged)
            state = read(self._path)
        except Exception as error:  # a damaged file may raise anything
            warnings.warn(f"checkpoint {self._path} is damaged and not used ({type(error).__name__})", stacklevel=2)
            return None
        return state

    def save(self, write: Callable[[Path], object]) -> None:
        """Stores the state, for its owner only: `write` writes a zip archive, as torch does.

        Raises:
            DpbenchError: it cannot be written.
        """
        if self._path is not None and self._writes:
            write_atomic(self._path, write, private=True)
            self._stopwatch.save()


def has_checkpoints(folder: Path) -> bool:
    """Whether an attempt left a state, of any code, in `folder` or below."""
    return any(path.is_file() and not path.name.startswith(".") for path in folder.rglob("*"))


def remove_checkpoints(folder: Path) -> None:
    """Removes all states in `folder` and below, secret keys first.

    Whatever the trial has finished is kept: if something cannot be removed, a warning says what to delete.
    """
    for key in list(folder.rglob(KEYS)):
        with suppress(OSError):
            key.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    if is_there(folder):
        warnings.warn(f"the checkpoints cannot be removed; delete {folder}, which may hold secrets", stacklevel=2)
