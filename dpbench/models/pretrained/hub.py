"""Networks of the transformers package, loaded from local files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dpbench.core.extras import import_extra
from dpbench.models.pretrained.finding import locate


def from_hub(name: str, *classes: str) -> list[Any]:
    """Loads the weights with this name into each of these transformers classes; downloads nothing.

    Raises:
        NotInstalled: the weights or the transformers package are missing.
        DamagedWeights: a file is not the published one.
    """
    with linked_folder(name) as folder:
        transformers = import_extra("transformers", "hub")
        transformers.utils.logging.disable_progress_bar()  # dpbench shows its own
        return [getattr(transformers, each).from_pretrained(folder, local_files_only=True) for each in classes]


@contextmanager
def linked_folder(name: str) -> Iterator[Path]:
    """A temporary folder with links to the files of these weights, because transformers loads from folders.

    Raises:
        NotInstalled, DamagedWeights: see `locate`.
    """
    paths = locate(name)
    with tempfile.TemporaryDirectory(prefix="dpbench-weights-") as folder:
        for short, path in paths.items():
            Path(folder, short).symlink_to(path.resolve())
        yield Path(folder)
