"""checksums.json: the SHA-256 of a trial's samples, model and ledger, so that later damage does not go unnoticed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dpbench.core.errors import DataError
from dpbench.core.files import is_there, reading, write_json
from dpbench.core.typed_json import read_typed

FILE = "checksums.json"


@dataclass(frozen=True)
class Checksums:
    """The content of the file: name of a file -> 64 hexadecimal digits."""

    sha256: dict[str, str]


def write(path: Path, folder: Path, files: Iterable[Path]) -> None:
    """Writes the checksums of files.

    Args:
        path: the file to write.
        folder: the files are named relative to it.
    """
    write_json(path, of(folder, files))


def of(folder: Path, files: Iterable[Path]) -> dict[str, Any]:
    """The content of a file of checksums; arguments as `write`."""
    return asdict(Checksums({file.relative_to(folder).as_posix(): _sha256(file) for file in files}))


def check(path: Path, folder: Path, part: Path) -> None:
    """Compares files with their checksums. The file of checksums may be absent: early versions of dpbench wrote none.

    Args:
        path: the file of checksums.
        folder: the files are named relative to it.
        part: the file to check, or the folder of the files.

    Raises:
        DpbenchError: a file is missing or has changed, or the checksums are damaged; the message names the file.
    """
    if not is_there(path):
        return
    for name, expected in read_typed(path, Checksums).sha256.items():
        file = folder / name
        if part not in (file, file.parent):
            continue
        with reading(file):
            intact = _sha256(file) == expected
        if not intact:
            raise DataError(f"{file} is damaged: it differs from what was written (SHA-256)")


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
