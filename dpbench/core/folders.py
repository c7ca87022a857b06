"""The user's cache and state folders, "~" in paths, and checks that folders are paths, have room and are writable."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

from dpbench.core.counted import sized
from dpbench.core.errors import DpbenchError


def cache_folder() -> Path:
    """Folder of files that can be computed or downloaded again: `DPBENCH_CACHE`, or the user's cache folder."""
    return expanded(Path(os.environ.get("DPBENCH_CACHE") or user_cache_path("dpbench")))


def state_folder() -> Path:
    """Folder of files that cannot be recreated: the user's privacy records and fingerprint key.

    `DPBENCH_STATE`, or the user's data folder.
    """
    return expanded(Path(os.environ.get("DPBENCH_STATE") or user_data_path("dpbench")))


def expanded(path: Path) -> Path:
    """The path with the home folder in place of "~".

    Raises:
        DpbenchError: there is no such user, or it is a URL.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)):
        raise DpbenchError(
            f"{path} is a URL, and object stores have no locks and cannot replace a file in one step: name a folder on "
            "a disk or on a network file system"
        )
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise DpbenchError(f"{path} names no home folder ({error})") from error


def nested(one: Path | None, other: Path | None) -> bool:
    """Whether one path is the other or lies in it, once symbolic links are followed; False without two paths."""
    if one is None or other is None:
        return False
    one, other = one.resolve(), other.resolve()
    return one.is_relative_to(other) or other.is_relative_to(one)


def check_space(folder: Path, needed: int, what: str) -> None:
    """Checks that a file system has room for files that are going to be written to `folder`.

    Args:
        needed: bytes.
        what: the files, as the error names them.

    Raises:
        DpbenchError: there is not enough room.
    """
    free = shutil.disk_usage(nearest_existing(folder)).free
    if needed > free:
        raise DpbenchError(f"{what} need {sized(needed)}, but {folder} has {sized(free)} free")


def check_writable(folder: Path) -> None:
    """Checks that files can be written to `folder`, without writing any.

    Raises:
        DpbenchError: no file can be written there.
    """
    existing = nearest_existing(folder)
    if not existing.is_dir():
        raise DpbenchError(f"cannot write to {folder}: {existing} is not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise DpbenchError(f"cannot write to {folder}: no permission to write in {existing}")


def nearest_existing(folder: Path) -> Path:
    """The folder, or its nearest parent that exists."""
    return next(path for path in [folder, *folder.absolute().parents] if os.path.exists(path))
