"""Networks of the transformers package, loaded from files that are here."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dpbench.core.extras import import_extra
from dpbench.models.pretrained.finding import locate


def from_hub(name: str, *classes: str) -> list[Any]:
    """Loads the weights called `name` with each of these classes of transformers; nothing is downloaded.

    Raises:
        NotInstalled: the weights or transformers are not here.
        DataError: a file is not the published one.
    """
    with gathered(name) as folder:
        transformers = import_extra("transformers", "hub")
        transformers.utils.logging.disable_progress_bar()  # dpbench has its own
        return [getattr(transformers, each).from_pretrained(folder, local_files_only=True) for each in classes]


@contextmanager
def gathered(name: str) -> Iterator[Path]:
    """Links to the files of the weights called `name` in one temporary folder: transformers loads from folders.

    Raises:
        NotInstalled, DataError: see `locate`.
    """
    paths = locate(name)
    with tempfile.TemporaryDirectory(prefix="dpbench-weights-") as folder:
        for short, path in paths.items():
            Path(folder, short).symlink_to(path.resolve())
        yield Path(folder)
