"""`dpbench check` and `dpbench new`."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import PLUGIN, call


def test_check_says_that_every_promise_is_kept(registries: None) -> None:
    result = call("check", "mean", "--plugin", PLUGIN)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "method mean"
    assert all(line.startswith("  yes  ") for line in lines[1:-1])
    assert lines[-1] == "every promise is kept"


def test_check_says_which_promise_is_broken_and_fails(registries: None, tmp_path: Path) -> None:
    broken = PLUGIN.read_text(encoding="utf-8").replace(
        'return {"means": self.means}', 'return {"means": 0 * self.means}'
    )
    (tmp_path / "forgetful.py").write_text(broken, encoding="utf-8")
    result = call("check", "mean", "--plugin", tmp_path / "forgetful.py")
    assert result.exit_code == 1
    assert "  no   A new instance with the saved state gives the same samples" in result.stdout
    assert "mean samples differently after saving; keep everything that sample uses in state_dict" in result.stdout
    assert result.stdout.endswith("1 promise is broken\n")


def test_check_takes_settings(registries: None) -> None:
    result = call("check", "mean[spread=-1]", "--plugin", PLUGIN)
    assert result.exit_code == 0, result.output
    unknown = call("check", "mean", "--set", "sprad=1", "--plugin", PLUGIN)
    assert unknown.exit_code == 1
    assert "spread" in unknown.stdout


def test_check_suggests_a_name() -> None:
    result = call("check", "bicubik")
    assert result.exit_code == 2
    assert "bicubic" in result.output


def test_new_says_what_to_do_next(tmp_path: Path) -> None:
    result = call("new", "method", "idea", "--folder", tmp_path)
    assert result.exit_code == 0, result.output
    assert f"pip install --editable {tmp_path / 'idea'}\ndpbench check idea\n" in result.stdout
    assert call("new", "method", "idea", "--folder", tmp_path).exit_code == 2


def test_new_finds_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert call("new", "method", "idea", "--folder", "~/plugins").exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["plugins"]


def test_new_speaks_of_every_kind_in_english(tmp_path: Path) -> None:
    assert "a working extractor; edit" in call("new", "extractor", "mine", "--folder", tmp_path).stdout


def test_new_names_the_kinds(tmp_path: Path) -> None:
    result = call("new", "wheel", "idea", "--folder", tmp_path)
    assert result.exit_code == 2
    assert "extractor" in result.output
