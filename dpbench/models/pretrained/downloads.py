"""Downloads of pretrained weights: asked for by name, resumed after an interruption, checked before they count."""

from __future__ import annotations

import http.client
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from filelock import FileLock

from dpbench.core.errors import DpbenchError
from dpbench.core.progress import Progress
from dpbench.models.pretrained.published import File, find, intact, own_folder, sha256

MEGABYTE = 10**6
READ = 2**20  # bytes at a time
PATIENCE = 60  # seconds without an answer


def fetch(file: File, progress: Progress) -> bool:
    """Makes sure that a file is here, by a download into dpbench's own cache if need be.

    Returns:
        whether it was downloaded now.

    Raises:
        DpbenchError: the download failed (what has arrived is kept for the next try), the disk is full, or the file
            that is here or was sent is not the published one.
    """
    target = own_folder() / file.name
    with _writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(f"{target.name}.lock")):
        present = find(file)
        if present is not None and intact(present, file):
            return False
        if present is not None and present != target:
            raise DpbenchError(f"{present} is not the published file (its SHA-256 differs); delete or replace it")
        part = target.with_name(f"{target.name}.part")
        _download(file, part, progress)
        if not intact(part, file):
            found = sha256(part)[:12]
            part.unlink()
            raise DpbenchError(
                f"{file.url} sent something else than the published file (its SHA-256 begins with {found}, not "
                f"{file.sha256[:12]}); it was thrown away, try again later"
            )
        part.replace(target)
    return True


def _download(file: File, part: Path, progress: Progress) -> None:
    """Fills `part`, going on after what it already holds if the server can."""
    held = part.stat().st_size if part.exists() else 0
    if held == file.size:
        return  # all of it had arrived
    try:
        with _open(file.url, held) as answer:
            held = held if answer.status == http.HTTPStatus.PARTIAL_CONTENT else 0
            length = answer.headers.get("Content-Length")
            whole = held + int(length) if length else file.size
            _check_space(part, whole - held)
            with _opened(part, "ab" if held else "wb") as content:
                held = _copy(answer, content, held, whole, f"{file.short}, MB", progress)
    except urllib.error.HTTPError as error:
        raise DpbenchError(f"cannot download {file.url}: the server says {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise DpbenchError(
            f"cannot download {file.url}: {getattr(error, 'reason', error)}; try again, or put the file into a folder "
            f"that DPBENCH_WEIGHTS names, as {file.name}"
        ) from error
    if held < whole:
        raise DpbenchError(f"{file.url} broke off after {held} of {whole} bytes; run the same command again to go on")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DpbenchError(f"cannot write {path}: {error.strerror or error}") from error


def _opened(path: Path, mode: str) -> IO[bytes]:
    with _writing(path):
        return path.open(mode)


def _open(url: str, start: int) -> http.client.HTTPResponse:
    """The answer to a request for the bytes from `start` on; for all of them where the server has none there."""
    if start == 0:
        return urllib.request.urlopen(url, timeout=PATIENCE)
    try:
        wanted = urllib.request.Request(url, headers={"Range": f"bytes={start}-"})
        return urllib.request.urlopen(wanted, timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        return urllib.request.urlopen(url, timeout=PATIENCE)


def _check_space(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if free < needed:
        raise DpbenchError(
            f"cannot write {part}: {needed / MEGABYTE:.0f} MB are needed but {free / MEGABYTE:.0f} MB are free"
        )


def _copy(
    source: http.client.HTTPResponse, target: IO[bytes], held: int, whole: int, title: str, progress: Progress
) -> int:
    """Copies what `source` sends; returns how many bytes there are then."""
    with progress.phase(title, -(-whole // MEGABYTE)) as advance:
        advance(held // MEGABYTE)
        while block := source.read(READ):
            with _writing(Path(target.name)):
                target.write(block)
                target.flush()
            advance((held + len(block)) // MEGABYTE - held // MEGABYTE)
            held += len(block)
    return held
