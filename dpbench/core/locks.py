"""Files that several processes share: one process at a time makes a file, and finished ones are read without a lock."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from dpbench.core.errors import DpbenchError
from dpbench.core.files import remove_unfinished

SCRATCH = "dpbench-"
"""Prefix of the names of scratch folders."""


@contextmanager
def making(path: Path) -> Iterator[None]:
    """Lets one process at a time make the file `path`; the others wait.

    Inside the block, check again whether the file exists by now. Unfinished files of killed processes are removed.

    Raises:
        DpbenchError: the folder cannot be written.
    """
    lock = FileLock(path.with_suffix(".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError) as error:  # the second one on a file system without locks
        reason = getattr(error, "strerror", None) or error
        raise DpbenchError(f"cannot write to {path.parent}: {reason}; choose another folder") from error
    try:
        remove_unfinished(path.parent, path.stem)
        yield
    finally:
        lock.release()


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder in the system's temporary folder, removed afterwards.

    A killed process cannot remove its folder, so this user's scratch folders whose process is dead are removed first.
    """
    root = Path(tempfile.gettempdir())
    _remove_left_behind(root)
    handle, name = tempfile.mkstemp(prefix=SCRATCH, suffix=".lock", dir=root)
    os.close(handle)
    lock, folder = Path(name), Path(name).with_suffix("")
    try:
        with FileLock(lock):
            folder.mkdir(mode=0o700)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.unlink(missing_ok=True)


def _remove_left_behind(root: Path) -> None:
    """Removes the scratch folders that no living process has locked."""
    user = getattr(os, "geteuid", lambda: 0)()  # there are no user numbers on Windows
    for lock in root.glob(f"{SCRATCH}*.lock"):
        with suppress(OSError, Timeout):
            if lock.lstat().st_uid == user:
                with FileLock(lock, timeout=0):
                    shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                    lock.unlink(missing_ok=True)
