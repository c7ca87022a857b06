"""Downloads of pretrained weights by name, with hash checks."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pooch
from huggingface_hub import hf_hub_download
from tqdm import tqdm

from dpbench.core.errors import DpbenchError, reason
from dpbench.core.progress import Advance, Progress
from dpbench.models.pretrained.finding import find, intact, own_folder
from dpbench.models.pretrained.published import File, Repository

MEGABYTE = 10**6
TIMEOUT = 60  # seconds without a response

pooch.get_logger().setLevel("WARNING")  # dpbench prints its own messages


def fetch(file: File, progress: Progress) -> bool:
    """Downloads a file into dpbench's cache unless it is already available.

    The file gets its final name only after the download is complete and its hash is verified. An interrupted download
    starts over.

    Returns:
        True if the file was downloaded, False if it was already available.

    Raises:
        DpbenchError: the download failed, the disk is full, or the local or downloaded file is not the published one.
    """
    target = own_folder() / file.name
    present = find(file)
    if present is not None and intact(present, file):
        return False
    if present is not None and present != target:
        raise DpbenchError(f"{present} is not the published file (its SHA-256 differs); delete or replace it")
    _check_space(target, file.size)
    with progress.phase(f"{file.short}, MB", _megabytes(file.size)) as advance:
        bar = _bar(advance, file.size)
        source = _from_hub(file.repository, file.short, bar) if file.repository else _from_web(bar(total=file.size))
        try:
            pooch.retrieve(file.url, file.sha256, target.name, target.parent, downloader=source)
        except Exception as error:  # the libraries and their network stacks have no common base class
            raise DpbenchError(
                f"cannot download {file.url}: {reason(_innermost(error))}; try again, or put the file into the "
                f"folder that DPBENCH_WEIGHTS names, as {file.name}"
            ) from error
    target.chmod(0o644)  # pooch makes it unreadable for other users of a shared cache
    return True


def _from_web(bar: tqdm) -> Callable[..., None]:
    return pooch.HTTPDownloader(progressbar=bar, chunk_size=MEGABYTE, timeout=TIMEOUT)


def _from_hub(repository: Repository, name: str, bar: type[tqdm]) -> Callable[..., None]:
    def download(url: str, output: str, _: object) -> None:
        with TemporaryDirectory(dir=Path(output).parent) as folder:
            fetched = hf_hub_download(
                repository.name,
                name,
                revision=repository.revision,
                local_dir=folder,
                force_download=True,  # fails immediately without a network instead of retrying for half a minute
                tqdm_class=bar,
            )
            Path(fetched).replace(output)

    return download


def _bar(advance: Advance, size: int) -> type[tqdm]:
    """A silent tqdm class that advances dpbench's own progress bar in whole megabytes.

    Libraries may open several bars for one download, reset them and count past the end. The progress is the largest
    value that any of them reached.
    """
    reached = 0

    class Bar(tqdm):
        def __init__(self, *_: object, initial: int = 0, total: int | None = None, **options: object):
            super().__init__(disable=True, initial=initial, total=total)

        def update(self, n: float | None = 1) -> None:
            nonlocal reached
            self.n += n or 0
            ahead = _megabytes(min(self.n, size)) - reached
            if ahead > 0:
                advance(ahead)
                reached += ahead

    return Bar


def _megabytes(count: float) -> int:
    return math.ceil(count / MEGABYTE)


def _check_space(target: Path, needed: int) -> None:
    free = shutil.disk_usage(next(folder for folder in target.absolute().parents if folder.exists())).free
    if free < needed:
        raise DpbenchError(
            f"cannot write {target}: {needed / MEGABYTE:.0f} MB are needed but {free / MEGABYTE:.0f} MB are free"
        )


def _innermost(error: BaseException) -> BaseException:
    """The error at the root. The outer errors only add library objects and addresses."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error
