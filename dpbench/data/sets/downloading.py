"""Downloads through torchvision: errors become one line, and damaged archives are removed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from dpbench.core.errors import DataError, reason


def download(name: str, fetch: Callable[[], object], archives: Mapping[Path, str], where: str) -> None:
    """Calls `fetch`, which downloads a dataset.

    Args:
        name: name of the dataset.
        fetch: downloads archives, checks and unpacks them.
        archives: path -> published MD5 of each archive.
        where: the instruction for putting the files in place by hand.

    Raises:
        DataError: the download failed, or the file that arrived is not the published one (a login page, a part of a
            file); that file is removed.
    """
    from torchvision.datasets.utils import check_integrity

    try:
        fetch()
    except Exception as error:  # connections and archives raise all kinds of errors
        what = reason(error)
        damaged = [path for path, md5 in archives.items() if path.exists() and not check_integrity(path, md5)]
        for path in damaged:
            path.unlink()
            what = f"what arrived as {path.name} was not the published file but perhaps a login page, and is removed"
        raise DataError(f"cannot download {name} ({what}); try again, or {where}") from error
