"""Networks that the transformers package loads, from files that are here."""

from __future__ import annotations

from typing import Any

from dpbench.core.extras import import_extra
from dpbench.models.pretrained.published import gathered


def from_hub(name: str, *classes: str) -> list[Any]:
    """What each of these classes of transformers makes of the weights called `name`; nothing is downloaded.

    Raises:
        NotInstalled: the weights or transformers are not here.
        DataError: a file is not the published one.
    """
    with gathered(name) as folder:
        transformers = import_extra("transformers", "hub")
        transformers.utils.logging.disable_progress_bar()  # dpbench has its own
        return [getattr(transformers, each).from_pretrained(folder, local_files_only=True) for each in classes]
