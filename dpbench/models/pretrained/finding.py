"""Local lookup of pretrained weights, with hash checks."""

from __future__ import annotations

import hashlib
import os
import re
from functools import lru_cache
from pathlib import Path

from huggingface_hub import try_to_load_from_cache

from dpbench.core.errors import DamagedWeights, NotInstalled
from dpbench.core.folders import cache_folder, expanded
from dpbench.models.pretrained.published import WEIGHTS, File, named

CLEAN_FID = Path("/tmp")
"""Folder where clean-fid stores its Inception weights."""


def locate(name: str) -> dict[str, Path]:
    """The local files of the weights with this name, as short name -> path, each verified against its hash.

    Raises:
        UnknownName: there are no weights with that name.
        NotInstalled: a file is missing.
        DamagedWeights: a local file is not the published one.
    """
    found = {file: find(file) for file in named(name).files}
    paths = {file: path for file, path in found.items() if path is not None}
    if len(paths) < len(found):
        raise NotInstalled(f"weights '{name}' are not installed; run `dpbench weights get {name}`")
    for file, path in paths.items():
        if not intact(path, file):
            raise DamagedWeights(
                f"{path} is damaged or not the file of '{name}' (its SHA-256 begins with {sha256(path)[:12]}, not "
                f"{file.sha256[:12]}); delete it and run `dpbench weights get {name}`"
            )
    return {file.short: path for file, path in paths.items()}


def weights_file(name: str) -> Path:
    """The file of weights that a setting names.

    Args:
        name: a name that `dpbench weights list` lists, a path, or the name of a file in the folder `DPBENCH_WEIGHTS`.

    Raises:
        NotInstalled: there is no such file.
        DamagedWeights: the file of listed weights is not the published one.
    """
    if name in WEIGHTS:
        return next(iter(locate(name).values()))
    paths = [expanded(Path(name)), *(folder / name for folder in _chosen_folder())]
    if found := next((path for path in paths if path.is_file()), None):
        return found
    raise NotInstalled(
        f"there are no weights '{name}'; give a name that `dpbench weights list` lists, the path of a file, "
        "or the name of a file in the folder DPBENCH_WEIGHTS"
    )


def lacks_weights(reason: str) -> bool:
    """Whether a message of `locate` that weights are missing or damaged still holds; False for other messages."""
    found = re.search(r" run `dpbench weights get (.+)`$", reason)
    if found is None:
        return False
    try:
        locate(found[1])
    except (NotInstalled, DamagedWeights):
        return True
    return False


def fingerprint(name: str) -> str:
    """The first 12 hexadecimal digits of the SHA-256 of the parameter file.

    Raises:
        UnknownName, NotInstalled, DamagedWeights: see `locate`.
    """
    return sha256(locate(name)[named(name).files[0].short])[:12]


def find(file: File) -> Path | None:
    """The first intact file among `places`, or else the first damaged one; None if there is none."""
    existing = [path for path in places(file) if path.is_file()]
    return next((path for path in existing if intact(path, file)), next(iter(existing), None))


def places(file: File) -> list[Path]:
    """The paths to search for a file, in order.

    They are in the folder `DPBENCH_WEIGHTS`, dpbench's cache, torch hub's checkpoints, clean-fid's folder and the
    Hugging Face hub's cache.
    """
    folders = [*_chosen_folder(), own_folder(), _torch_hub(), CLEAN_FID]
    return [folder / file.name for folder in folders] + _hub_cache(file)


def _chosen_folder() -> list[Path]:
    """The folder `DPBENCH_WEIGHTS`, if it is set."""
    chosen = os.environ.get("DPBENCH_WEIGHTS")
    return [expanded(Path(chosen))] if chosen else []


def own_folder() -> Path:
    """The folder for files downloaded by `dpbench weights get`."""
    return cache_folder() / "weights"


def _torch_hub() -> Path:
    # torch.hub.get_dir() without importing torch, which takes seconds
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return expanded(Path(os.environ.get("TORCH_HOME") or f"{cache}/torch")) / "hub" / "checkpoints"


def _hub_cache(file: File) -> list[Path]:
    if file.repository is None:
        return []
    found = try_to_load_from_cache(file.repository.name, file.short, revision=file.repository.revision)
    return [Path(found)] if isinstance(found, str) else []


def intact(path: Path, file: File) -> bool:
    """Whether the file at `path` has the hash of the published file."""
    return sha256(path) == file.sha256


def sha256(path: Path) -> str:
    """The SHA-256 of a file, 64 hexadecimal digits; cached until its size or modification time changes."""
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _sha256(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
