"""Plugins that a user names by path: one Python file, or a package of several (`--plugin`)."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from dpbench.core.errors import FOREIGN, DpbenchError
from dpbench.core.folders import expanded
from dpbench.core.plugin_names import module_name
from dpbench.core.registries import REGISTRIES
from dpbench.core.registry import Registry

_registered: dict[str, list[tuple[Registry[Any], str]]] = {}
"""A plugin's module -> the names that it registered."""


def load_plugin(path: Path | str) -> ModuleType:
    """Runs a plugin, whose `@register(...)` decorators add its classes.

    A plugin that is loaded again replaces its earlier registrations, so an edited file takes effect in a notebook.

    Args:
        path: a Python file, or a folder with an `__init__.py`, whose modules import each other relatively
            (`from .network import Network`).

    Returns:
        The plugin's module. No plugin of another path has the same module name.

    Raises:
        DpbenchError: the path is not a plugin, the plugin fails (the message names the line), it registers nothing, or
            it registers a class that is not a plugin of its kind.
    """
    path = expanded(Path(path))
    file = _python_file(path)
    name = module_name(path)
    _forget(name)
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    before = {registry.kind: registry.registered() for registry in REGISTRIES}
    try:
        spec.loader.exec_module(module)
    except FOREIGN as error:
        raise DpbenchError(
            f"plugin {path} failed{_place(error, file)}: {_reason(error)}{_hint(error, file)}"
        ) from error
    finally:
        _registered[name] = [
            (registry, added) for registry in REGISTRIES for added in registry.registered() - before[registry.kind]
        ]
    if not _registered[name]:
        raise DpbenchError(
            f"plugin {path} registers nothing; put a line such as @METHODS.register('my-method') above its class"
        )
    for registry, added in _registered[name]:
        registry.check(added)
    return module


def _python_file(path: Path) -> Path:
    """The file to run."""
    if path.is_dir():
        if not (path / "__init__.py").is_file():
            raise DpbenchError(f"plugin folder {path} has no __init__.py; add one to the folder, or name a .py file")
        return path / "__init__.py"
    if not path.is_file():
        raise DpbenchError(f"plugin file {path} does not exist")
    if path.suffix != ".py":
        raise DpbenchError(f"plugin file {path} is not a Python file (.py)")
    return path


def _forget(name: str) -> None:
    """Removes the registrations and modules of an earlier load of the plugin."""
    for registry, added in _registered.pop(name, []):
        registry.unregister(added)
    for module in [module for module in sys.modules if module == name or module.startswith(f"{name}.")]:
        del sys.modules[module]


def _place(error: BaseException, file: Path) -> str:
    """Where a plugin failed: the innermost line of its own code."""
    if isinstance(error, SyntaxError):
        return f" in {error.filename}, line {error.lineno}"
    folder = file.resolve().parent
    frames = [f for f in traceback.extract_tb(error.__traceback__) if folder in Path(f.filename).resolve().parents]
    return f" in {frames[-1].filename}, line {frames[-1].lineno}" if frames else ""


def _hint(error: BaseException, file: Path) -> str:
    """Advice on a failed import of a file beside the plugin."""
    name = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
    if "relative import" in str(error) or (name and (file.parent / f"{name}.py").exists()):
        return "; for a plugin of several files, name their folder, with an __init__.py and relative imports in it"
    return ""


def _reason(error: BaseException) -> str:
    message = " ".join((error.msg if isinstance(error, SyntaxError) else str(error)).split())
    return message if isinstance(error, DpbenchError) else f"{type(error).__name__}: {message}"
