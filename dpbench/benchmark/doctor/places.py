"""The folders that a run writes to: their paths, whether they are writable, and their free space."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dpbench.benchmark.doctor.machine_check import Check
from dpbench.benchmark.request import RunRequest
from dpbench.core.counted import sized
from dpbench.core.errors import DpbenchError
from dpbench.core.folders import cache_folder, check_writable, nearest_existing, state_folder
from dpbench.data.opening import default_root

TOPIC = "folders"

LITTLE = 10**9
"""Free bytes below which a disk is nearly full: 10,000 colour images of 64×64 take 0.1 GB, beside the trial's model."""


def folders(request: RunRequest) -> Iterator[Check]:
    """The folders of results, data, cache, state, and temporary files."""
    yield _folder("results", request.out, "choose another folder with --out")
    yield _data(request.data or default_root())
    yield _folder("cache", cache_folder(), "choose another folder with DPBENCH_CACHE")
    yield _folder("state", state_folder(), "choose another folder with DPBENCH_STATE to keep privacy records")
    yield _folder("temporary files", Path(tempfile.gettempdir()), "choose another folder with TMPDIR")


def _data(folder: Path) -> Check:
    """The folder of datasets, which may belong to another user."""
    advice = "its datasets can be used; to add datasets, choose a folder of your own with DPBENCH_DATA or --data"
    found = _folder("data", folder, advice)
    is_read_only = found.state == "problem" and folder.is_dir()
    return Check(found.topic, found.name, "absent", found.found, found.advice) if is_read_only else found


def _folder(name: str, folder: Path, advice: str) -> Check:
    try:
        check_writable(folder)
    except DpbenchError as error:
        return Check(TOPIC, name, "problem", str(error), advice)
    free = shutil.disk_usage(nearest_existing(folder)).free
    found = f"{folder}, {sized(free)} free"
    if free < LITTLE:
        return Check(TOPIC, name, "problem", found, f"make room on this disk, or {advice}")
    return Check(TOPIC, name, "ok", found)
