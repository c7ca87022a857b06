"""Plugins that are named by path: files, packages, and their mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

import dpbench
from dpbench import REFINERS, DpbenchError
from dpbench.core import closure
from dpbench.core.closure import code_hash
from dpbench.core.config import build
from dpbench.core.plugin_files import load_plugin

MINE = """import dpbench
@dpbench.REFINERS.register('{}')
class Mine(dpbench.Refiner):
    size = {}
    def refine(self, coarse, size, run): return coarse
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def package(tmp_path: Path, registries: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plugin of three files, which count as older than this process."""
    monkeypatch.setattr(closure, "STARTED", float("inf"))
    folder = tmp_path / "here" / "my-method"
    write(folder / "__init__.py", "from .method import Mine\n")
    write(folder / "method.py", "from .parts.network import SIZE\n" + MINE.format("mine", "SIZE"))
    write(folder / "parts" / "__init__.py", "")
    write(folder / "parts" / "network.py", "SIZE = 3\n")
    return folder


def test_a_file_registers_its_plugins(tmp_path: Path, registries: None) -> None:
    module = load_plugin(write(tmp_path / "mine.py", MINE.format("from-a-file", "0")))
    assert REFINERS.get("from-a-file") is module.Mine


def test_dataclass_annotations_in_a_file_are_resolved(tmp_path: Path, registries: None) -> None:
    text = """
from __future__ import annotations
from dataclasses import dataclass
import dpbench

@dataclass(frozen=True)
class Config(dpbench.RefinerSettings):
    steps: int = dpbench.option(3, "steps")

@dpbench.REFINERS.register("annotated")
class Mine(dpbench.Refiner):
    Config = Config
    def refine(self, coarse, size, run): return coarse
"""
    load_plugin(write(tmp_path / "annotated.py", text))
    assert build(REFINERS.get("annotated").Config, {"steps": "5"}).steps == 5


def test_the_modules_of_a_package_import_each_other(package: Path) -> None:
    load_plugin(package)
    assert REFINERS.get("mine").size == 3


@pytest.mark.parametrize("file", ["__init__.py", "method.py", "parts/__init__.py", "parts/network.py"])
def test_every_file_of_a_package_counts_in_the_hash_of_its_code(package: Path, file: str) -> None:
    load_plugin(package)
    before = code_hash(REFINERS.get("mine"))
    (package / "notes.txt").write_text("no code")
    (package / "unused.py").write_text("X = 1\n")
    assert code_hash(REFINERS.get("mine")) == before
    (package / file).write_text((package / file).read_text() + "CHANGED = 1\n")
    assert code_hash(REFINERS.get("mine")) != before


def test_a_package_has_the_same_hash_in_every_folder(package: Path) -> None:
    load_plugin(package)
    before = code_hash(REFINERS.get("mine"))
    REFINERS.unregister("mine")
    moved = package.rename(package.parent.parent / package.name)
    load_plugin(moved)
    assert code_hash(REFINERS.get("mine")) == before


def test_two_files_of_one_name_do_not_clash(tmp_path: Path, registries: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closure, "STARTED", float("inf"))
    one, two = (write(tmp_path / name / "mine.py", MINE.format(name, f"'{name}'")) for name in ("one", "two"))
    load_plugin(one)
    before = code_hash(REFINERS.get("one"))
    load_plugin(two)
    assert code_hash(REFINERS.get("one")) == before
    write(two, MINE.format("two", "'edited'"))
    assert code_hash(REFINERS.get("one")) == before
    write(one, MINE.format("one", "'edited'"))
    assert code_hash(REFINERS.get("one")) != before


def test_an_edited_plugin_that_is_loaded_again_replaces_the_old_one(package: Path) -> None:
    load_plugin(package)
    write(package / "parts" / "network.py", "SIZE = 40  # another length, as the time may be the same\n")
    load_plugin(package)
    assert REFINERS.get("mine").size == 40
    write(package / "method.py", MINE.format("renamed", "0"))
    load_plugin(package)
    assert "mine" not in REFINERS.names()


def test_a_path_may_be_relative_or_start_at_home(
    tmp_path: Path, registries: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "mine.py", MINE.format("mine", "0"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    paths = [load_plugin(path).__name__ for path in ("mine.py", "./mine.py", "~/mine.py", tmp_path / "mine.py")]
    assert len({*paths}) == 1
    dpbench.RunRequest(plugins=["~/mine.py"]).load_plugins()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("gone.py", None, "plugin file {} does not exist"),
        ("plugin.txt", "x = 1", "is not a Python file"),
        ("syntax.py", "x = 1\nclass (", "plugin {0} failed in {0}, line 2: SyntaxError: invalid syntax"),
        ("raises.py", "x = 1\n\n1 / 0", "plugin {0} failed in {0}, line 3: ZeroDivisionError: division by zero"),
        (
            "imports.py",
            "import no_such_module",
            "failed in {}, line 1: ModuleNotFoundError: No module named 'no_such_mo",
        ),
        ("exits.py", "import sys\nsys.exit(0)", "plugin {0} failed in {0}, line 2: SystemExit: 0"),
        ("lines.py", "raise ValueError('one\\ntwo')", "ValueError: one two"),
        ("twice.py", MINE.format("bicubic", "0"), "failed in {}, line 2: refiner 'bicubic' is registered already"),
        ("lacks.py", MINE.format("mine", "0").replace("refine", "refined"), "refiner 'mine' does not define refine"),
        (
            "kind.py",
            MINE.format("mine", "0").replace("REFINERS", "METRICS"),
            "metric 'mine' must be a subclass of dpbench.Metric",
        ),
        (
            "function.py",
            "import dpbench\n@dpbench.METHODS.register('f')\ndef f(): ...",
            "method 'f' must be a subclass of dpbench.Method",
        ),
        ("nothing.py", "x = 1", "plugin {} registers nothing; put a line such as @METHODS.register('my-method')"),
    ],
)
def test_mistakes_of_a_file_are_answered_in_one_line(
    tmp_path: Path, registries: None, name: str, text: str | None, message: str
) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(DpbenchError) as error:
        load_plugin(path)
    assert message.format(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", ["~nobody-of-that-name/mine.py", "s3://bucket/mine.py"])
def test_a_file_is_in_no_foreign_place(path: str) -> None:
    with pytest.raises(DpbenchError, match=r"names no home folder|is a URL"):
        load_plugin(path)


@pytest.mark.parametrize("statement", ["import network_beside", "from .network_beside import SIZE"])
def test_a_file_that_imports_another_is_told_to_be_a_package(package: Path, statement: str) -> None:
    write(package.parent / "network_beside.py", "SIZE = 3\n")
    path = write(package.parent / "mine.py", statement)
    with pytest.raises(DpbenchError, match=r"line 1: .*Error: .*; for a plugin of several files, name their folder"):
        load_plugin(path)


def test_mistakes_of_a_package_name_the_file(package: Path) -> None:
    network = write(package / "parts" / "network.py", "\nSIZE = undefined\n")
    with pytest.raises(DpbenchError, match=f"plugin {package} failed in {network}, line 2: NameError"):
        load_plugin(package)
    (package / "__init__.py").unlink()
    with pytest.raises(DpbenchError, match=r"plugin folder .* has no __init__\.py; add one to the folder"):
        load_plugin(package)


def test_what_a_failing_plugin_registered_is_forgotten_when_it_is_loaded_again(
    tmp_path: Path, registries: None
) -> None:
    path = write(tmp_path / "mine.py", MINE.format("mine", "0") + "1 / 0\n")
    with pytest.raises(DpbenchError, match="ZeroDivisionError"):
        load_plugin(path)
    load_plugin(write(path, MINE.format("mine", "0")))
    assert "mine" in REFINERS.names()
