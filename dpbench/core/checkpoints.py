"""What an attempt at a trial stores on its way, so that the next attempt goes on from there."""

from __future__ import annotations

import re
import shutil
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from dpbench.core.files import code_version, digest, write_atomic

T = TypeVar("T")

CODE = ("core", "methods", "models", "privacy", "refiners", "training")
"""The parts of dpbench that decide what a stored state means."""


class Checkpoints:
    """The stored states of one phase of a trial, in a folder.

    A file's name ends in a hash of the code and of everything that its content depends on, so files of other code or
    other settings are never taken up.

    Args:
        folder: where the files lie; None stores nothing.
        writes: False for a process that only takes up what another one of the same run stores.

    Attributes:
        before_leaving: called when stored states are about to be abandoned; see `leave`.
    """

    def __init__(self, folder: Path | None, writes: bool = True):
        self.before_leaving: Callable[[], None] = lambda: None
        self._folder = folder
        self._writes = writes
        self._taken: set[Path] = set()
        self._met: Counter[str] = Counter()

    def next(self, name: str, key: Any) -> Checkpoint:
        """The state of the next phase called `name`: phases of one name are told apart by their order."""
        self._met[name] += 1
        return self.state(f"{name} {self._met[name]}", key)

    def state(self, name: str, key: Any) -> Checkpoint:
        """The state called `name`.

        Args:
            name: unique within the folder.
            key: what it depends on besides the code (JSON-like).
        """
        if self._folder is None:
            return Checkpoint(None, False, self._taken)
        slug = re.sub(r"\W+", "-", name, flags=re.ASCII).strip("-")[:80]
        made_by = digest([name, key, code_version(*CODE)])
        return Checkpoint(self._folder / f"{slug}.{made_by}.pt", self._writes, self._taken)

    def leave(self) -> None:
        """Takes away the states that are stored and have not been taken up: to be called before fresh noise is used.

        They follow from releases that this attempt did not take up and now replaces by others. To take them up later
        would put two releases into one result where the plan pays for one.
        """
        if self._folder is None or not self._writes:
            return
        rest = [path for path in self._folder.glob("[!.]*") if path not in self._taken]
        if rest:
            self.before_leaving()
        for path in rest:
            path.unlink()

    def mark(self, name: str) -> None:
        """Leaves a note for the next attempt."""
        if self._folder is not None and self._writes:
            write_atomic(self._folder / name, lambda path: path.touch())
            self._taken.add(self._folder / name)

    def is_marked(self, name: str) -> bool:
        """Whether the note is there; taken up, if so."""
        if self._folder is None or not (self._folder / name).exists():
            return False
        self._taken.add(self._folder / name)
        return True


class Checkpoint:
    """One stored state: a file that is whole or absent.

    Args:
        path: None stores nothing.
        writes: whether to write it.
        taken: where to note that the file belongs to the present attempt.
    """

    def __init__(self, path: Path | None, writes: bool, taken: set[Path]):
        self._path = path
        self._writes = writes
        self._taken = taken

    def load(self, read: Callable[[Path], T]) -> T | None:
        """What `read` makes of the file; None if there is none of this code and these settings, or it is damaged."""
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
        except Exception as error:  # whatever a damaged file brings about
            warnings.warn(f"checkpoint {self._path} is damaged and not used ({type(error).__name__})", stacklevel=2)
            return None
        self._taken.add(self._path)
        return state

    def save(self, write: Callable[[Path], object]) -> None:
        """Lets `write` fill the file, a zip archive as torch writes it.

        Raises:
            DpbenchError: it cannot be written.
        """
        if self._path is not None and self._writes:
            write_atomic(self._path, write)
            self._taken.add(self._path)


def has_checkpoints(folder: Path) -> bool:
    """Whether there is a state in `folder` or below, of whatever code."""
    return any(not path.name.startswith(".") for path in folder.rglob("*.pt"))


def remove_checkpoints(folder: Path) -> None:
    """Removes all states in `folder` and below."""
    shutil.rmtree(folder, ignore_errors=True)
