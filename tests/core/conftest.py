"""Sources whose hashes are taken: a copy of dpbench's, and plugins."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from edited_files import write

from dpbench.core import closure


@pytest.fixture
def as_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes files written by the test count as older than this process."""
    monkeypatch.setattr(closure, "STARTED", float("inf"))


@pytest.fixture
def tree(as_started: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A copy of dpbench's sources to hash."""
    copy = tmp_path / "dpbench"
    shutil.copytree(closure.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(closure, "PACKAGE", copy)
    return copy


@pytest.fixture
def plugin(as_started: None, registries: None, tmp_path: Path) -> Iterator[Callable[..., ModuleType]]:
    """plugin(name=source, ...) writes these files ("__" in a name separates folders) and imports the first one."""
    path = list(sys.path)
    folder = tmp_path / "plugins"

    def load(**sources: str) -> ModuleType:
        for name, source in sources.items():
            write(folder / f"{name.replace('__', '/')}.py", source)
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
        return importlib.import_module(next(iter(sources)).replace("__", "."))

    yield load
    sys.path[:] = path
    modules = sys.modules.copy().items()
    for name in [name for name, module in modules if any(Path(p).is_relative_to(folder) for p in _places(module))]:
        del sys.modules[name]


def _places(module: ModuleType) -> list[str]:
    """The file of a module, or the folders of a package."""
    file = getattr(module, "__file__", None)
    return [file] if file else [*getattr(module, "__path__", ())]
