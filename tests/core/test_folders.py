"""The user's folders, and "~" in paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from dpbench.benchmark.request import RunRequest
from dpbench.core.errors import DpbenchError
from dpbench.core.folders import cache_folder, check_writable, expanded, state_folder
from dpbench.data.opening import default_root


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_tilde_is_the_home_folder_wherever_a_path_is_given(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, folder in (
        ("DPBENCH_CACHE", cache_folder), ("DPBENCH_STATE", state_folder), ("DPBENCH_DATA", default_root)
    ):  # fmt: skip
        monkeypatch.setenv(variable, "~/there")
        assert folder() == home / "there"
    request = RunRequest(out=Path("~/out"), data=Path("~/data"), plugins=(Path("~/mine.py"),))
    assert (request.out, request.data, request.plugins) == (home / "out", home / "data", (home / "mine.py",))


def test_an_unknown_home_folder_is_one_line() -> None:
    with pytest.raises(DpbenchError, match="~nobody-of-that-name/x names no home folder"):
        expanded(Path("~nobody-of-that-name/x"))


def test_a_name_that_is_too_long_passes_the_check_of_its_parent(home: Path) -> None:
    check_writable(home / ("x" * 300))
    (home / "file").touch()
    with pytest.raises(DpbenchError, match="file is not a folder"):
        check_writable(home / "file" / "out")
