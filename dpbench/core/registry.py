"""Typed, lazy registries of plugins: a name maps to "module:Class", which is imported on first use.

Each registry has three sources: the built-in table, the entry points of installed packages (`dpbench.methods`,
`.datasets`, `.metrics`, `.refiners`, `.extractors`, `.text_encoders`, `.generators`), and classes registered at run
time (`--plugin`).
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Generic, TypeVar

from dpbench.core.errors import FOREIGN, DpbenchError, UnknownName

P = TypeVar("P")


@functools.cache
def installed_plugins(group: str) -> Mapping[str, str]:
    """Name -> "module:Class" of a group of entry points; read once per process, since all packages are searched."""
    return {point.name: point.value for point in entry_points(group=group)}


class Registry(Generic[P]):
    """The plugins of one kind, by name.

    Args:
        kind: the name of one plugin in messages, e.g. "method" or "text encoder".
        builtin: name -> ("module:Class", summary); the summary is the first line of the class's docstring.
        base: the base class of plugins; `check` looks for it.
    """

    def __init__(self, kind: str, builtin: Mapping[str, tuple[str, str]], base: type):
        self.kind = kind
        self.base = base
        self.group = f"dpbench.{kind.replace(' ', '_')}s"
        self._builtin = {name: target for name, (target, _) in builtin.items()}
        self._summaries = {name: summary for name, (_, summary) in builtin.items()}
        self._registered: dict[str, type[P]] = {}

    def _targets(self) -> dict[str, str]:
        return {**installed_plugins(self.group), **self._builtin}

    def names(self) -> list[str]:
        """All known names, sorted; nothing is imported."""
        return sorted({*self._targets(), *self._registered})

    def is_builtin(self, name: str) -> bool:
        """Whether dpbench itself provides the plugin called `name`."""
        return name in self._builtin

    def summary(self, name: str) -> str:
        """A one-line summary of the plugin called `name`; imports nothing for built-in plugins.

        Raises:
            UnknownName, DpbenchError: as `get`.
        """
        if name in self._summaries:
            return self._summaries[name]
        return (inspect.getdoc(self.get(name)) or "").partition("\n")[0]

    def source(self, name: str) -> str:
        """Where the plugin called `name` comes from: "dpbench", "my_package 1.2", "file mine.py", "no file".

        Raises:
            UnknownName, DpbenchError: as `get`.
        """
        module = self.get(name).__module__
        if module.partition(".")[0] == "dpbench":
            return "dpbench"
        for point in () if name in self._registered else entry_points(group=self.group):
            if point.name == name and point.dist is not None:
                return f"{point.dist.name} {point.dist.version}"
        file = getattr(sys.modules.get(module), "__file__", None)
        return f"file {Path(file).name}" if file else "no file"

    def get(self, name: str) -> type[P]:
        """The plugin class called `name`.

        Raises:
            UnknownName: no plugin has that name; the message suggests the nearest ones.
            DpbenchError: the plugin exists but its module cannot be imported.
        """
        if name in self._registered:
            return self._registered[name]
        targets = self._targets()
        if name not in targets:
            raise UnknownName(self.kind, name, self.names())
        module, _, attribute = targets[name].partition(":")
        try:
            plugin: type[P] = getattr(importlib.import_module(module), attribute)
        except FOREIGN as error:
            raise DpbenchError(
                f"{self.kind} '{name}' ({targets[name]}) cannot be imported: {type(error).__name__}: {error}"
            ) from error
        return plugin

    def register(self, name: str) -> Callable[[type[P]], type[P]]:
        """Class decorator that adds a plugin under `name`, which must be free.

        In a notebook, a class may be defined again: the new one replaces the old one. A class of an installed package
        may have the name of its own entry point.
        """

        def add(plugin: type[P]) -> type[P]:
            own = _is_defined_again(self._registered.get(name), plugin) or self._is_entry_point(name, plugin)
            if name in self.names() and not own:
                raise DpbenchError(f"{self.kind} '{name}' is registered already; give the plugin another name")
            self._registered[name] = plugin
            return plugin

        return add

    def _is_entry_point(self, name: str, plugin: type) -> bool:
        """Whether an entry point of a class's own package has this name."""
        package = installed_plugins(self.group).get(name, "").partition(":")[0].partition(".")[0]
        return name not in self._builtin and package == plugin.__module__.partition(".")[0]

    def registered(self) -> set[str]:
        """The names that were registered at run time."""
        return {*self._registered}

    def check(self, name: str) -> None:
        """Checks that the plugin called `name` can be one of this kind.

        Raises:
            DpbenchError: it has another base class, or lacks a method.
        """
        plugin = self.get(name)
        if not (isinstance(plugin, type) and issubclass(plugin, self.base)):
            raise DpbenchError(
                f"{self.kind} '{name}' must be a subclass of dpbench.{self.base.__name__}, not {plugin!r}"
            )
        if lacking := sorted(getattr(plugin, "__abstractmethods__", ())):
            raise DpbenchError(f"{self.kind} '{name}' does not define {', '.join(lacking)}")

    def unregister(self, name: str) -> None:
        """Forgets the plugin registered under `name` at run time, if there is one."""
        self._registered.pop(name, None)


def _is_defined_again(before: type | None, plugin: type) -> bool:
    """Whether two classes come from a notebook cell that ran twice."""
    return before is not None and all(
        c.__module__ == "__main__" and c.__qualname__ == plugin.__qualname__ for c in (before, plugin)
    )
