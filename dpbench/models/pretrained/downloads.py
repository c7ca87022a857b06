"""Downloads of pretrained weights: asked for by name, checked before they count."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pooch
from huggingface_hub import hf_hub_download
from tqdm import tqdm

from dpbench.core.errors import DpbenchError
from dpbench.core.progress import Advance, Progress
from dpbench.models.pretrained.finding import find, intact, own_folder
from dpbench.models.pretrained.published import File, Repository

MEGABYTE = 10**6
TIMEOUT = 60  # seconds without an answer

pooch.get_logger().setLevel("WARNING")  # dpbench has its own messages


def fetch(file: File, progress: Progress) -> bool:
    """Makes sure that a file is here; downloads it into dpbench's own cache if it is not.

    A file gets its name only when all of it has arrived and its hash is right. An interrupted download starts over.

    Returns:
        whether it was downloaded now.

    Raises:
        DpbenchError: the download failed, the disk is full, or the file that is here or was sent is not the published
            one.
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
        except Exception as error:  # the libraries and the network stacks below them share no base class
            raise DpbenchError(
                f"cannot download {file.url}: {_reason(error)}; try again, or put the file into a folder that "
                f"DPBENCH_WEIGHTS names, as {file.name}"
            ) from error
    target.chmod(0o644)  # pooch leaves it unreadable for the other users of a shared cache
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
                force_download=True,  # fails at once without a network; otherwise it retries for half a minute
                tqdm_class=bar,
            )
            Path(fetched).replace(output)

    return download


def _bar(advance: Advance, size: int) -> type[tqdm]:
    """A tqdm that draws nothing: it advances a bar of ours by whole megabytes.

    Libraries may open several of them for one download, set them back and count past the end; what counts is the
    farthest that one has come.
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


def _reason(error: BaseException) -> str:
    """The first line of the innermost error: outer ones wrap it in the addresses of the libraries' objects."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return str(error).partition("\n")[0].rstrip(".") or type(error).__name__
