"""Where datasets are; see also `core.folders`."""

from __future__ import annotations

from pathlib import Path

from dpbench.data.opening import default_root


def data_folder(asked: Path | None) -> Path:
    """Where datasets are looked for and kept: as asked for, `DPBENCH_DATA`, or the user's cache folder."""
    return asked or default_root()
