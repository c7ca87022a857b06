"""New plugin packages work as they are."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from dpbench.cli.new import Kind
from dpbench.core.errors import DpbenchError
from dpbench.core.plugin_files import load_plugin
from dpbench.core.plugin_package import KINDS, TRY, write_package

ROOT = Path(__file__).parents[2]


def test_every_kind_has_a_command_to_try() -> None:
    assert set(TRY) == set(KINDS) == set(Kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_package_holds_a_plugin_of_its_name(kind: str, tmp_path: Path, registries: None) -> None:
    folder = write_package(kind, "bright-idea", tmp_path)
    written = {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in folder.rglob("*.*")}
    assert set(written) == {"README.md", "pyproject.toml", "bright_idea/__init__.py", "tests/test_bright_idea.py"}
    for path, text in written.items():
        left = [word for word in ("my-", "my_", "My", "KIND", "COMMAND") if word in text]
        assert left == [], path
    project = tomllib.loads(written["pyproject.toml"])["project"]
    registry = KINDS[kind]
    assert project["entry-points"] == {registry.group: {"bright-idea": "bright_idea:BrightIdea"}}
    load_plugin(folder / "bright_idea")
    assert registry.get("bright-idea").__name__ == "BrightIdea"
    assert TRY[kind].format("bright-idea") in written["README.md"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_test_of_a_new_package_passes(kind: str, tmp_path: Path) -> None:
    folder = write_package(kind, "bright-idea", tmp_path)
    load = (
        "import sys, pytest; sys.path[:0] = ['.', sys.argv[1]]; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", load, str(ROOT)], cwd=folder, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "passed" in done.stdout


@pytest.mark.parametrize("name", ["Idea", "an idea", "1-idea", "../idea", "idea-", "class", ""])
def test_a_name_that_cannot_name_a_package_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DpbenchError, match="use lower-case words joined by hyphens, such as my-method"):
        write_package("method", name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_taken_name_and_an_existing_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DpbenchError, match="there is a method called 'wavelet' already"):
        write_package("method", "wavelet", tmp_path)
    (tmp_path / "idea").mkdir()
    with pytest.raises(DpbenchError, match="exists already; choose another name"):
        write_package("method", "idea", tmp_path)
    assert list((tmp_path / "idea").iterdir()) == []


def test_a_name_that_holds_a_placeholder_is_filled_in_once(tmp_path: Path) -> None:
    text = (write_package("metric", "my-metric-two", tmp_path) / "pyproject.toml").read_text(encoding="utf-8")
    assert 'my-metric-two = "my_metric_two:MyMetricTwo"' in text
