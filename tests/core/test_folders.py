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


@pytest.mark.parametrize("url", ["s3://bucket/results", "gs://bucket", "file:///results"])
def test_a_url_is_refused_wherever_a_folder_is_expected(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, folder in (("DPBENCH_CACHE", cache_folder), ("DPBENCH_STATE", state_folder)):
        monkeypatch.setenv(variable, url)
        with pytest.raises(DpbenchError, match=r"is a URL, and object stores have no locks .*: name a folder"):
            folder()
    for option in ("out", "data", "prompts"):
        with pytest.raises(DpbenchError, match="is a URL"):
            RunRequest(**{option: url})
    assert not Path("s3:").exists()


def test_a_windows_drive_is_no_url() -> None:
    assert expanded(Path("C:/results")) == Path("C:/results")


def test_a_name_that_is_too_long_passes_the_check_of_its_parent(home: Path) -> None:
    check_writable(home / ("x" * 300))
    (home / "file").touch()
    with pytest.raises(DpbenchError, match="file is not a folder"):
        check_writable(home / "file" / "out")
