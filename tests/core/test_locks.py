"""Locks of files that are made once, and scratch folders that do not outlive their process for long."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dpbench.core.errors import DpbenchError
from dpbench.core.locks import making, scratch_folder

HOLD = """
import sys
from dpbench.core.locks import scratch_folder
with scratch_folder() as folder:
    (folder / "features.npy").write_text("of real images")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_scratch_folder_is_for_its_owner_and_is_removed(temporary: Path) -> None:
    with scratch_folder() as folder:
        assert folder.parent == temporary
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "a").mkdir()
    assert list(temporary.iterdir()) == []


def test_scratch_folder_of_a_killed_process_is_removed_and_that_of_a_living_one_stays(temporary: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    left = Path(process.stdout.readline().strip())
    with scratch_folder():
        assert (left / "features.npy").exists()
    process.kill()
    process.wait()
    with scratch_folder() as folder:
        assert not left.exists()
        assert folder.exists()
    assert list(temporary.iterdir()) == []


def test_folder_that_cannot_be_locked_is_named(temporary: Path) -> None:
    (temporary / "file").write_text("in the way")
    refused = pytest.raises(DpbenchError, match=r"cannot write to .*file/cache: .*; choose another folder")
    with refused, making(temporary / "file" / "cache" / "x.npy"):
        pass
