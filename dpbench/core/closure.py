"""Hashes of code: what a stored result depends on besides data and settings.

The code behind a class or function is the import closure of the module that defines it: that module and, transitively,
the modules that it imports, also inside functions. What counts:

* modules of dpbench, except the tables of names in `TABLES`;
* for code outside dpbench: the modules beside its file, and those of the package that the file belongs to (a plugin
  may be a package);
* everything in these modules except comments, docstrings, layout, and imports for type checkers only.

What does not count: other installed packages, data files, and modules that are imported by a computed name. Plugins are
looked up by name, so no import statement leads to them: `code_of` adds those that a configuration chooses.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from functools import cache, partial, singledispatch
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple
from uuid import uuid4

from dpbench.core.bytecode import compiled
from dpbench.core.config import Choice
from dpbench.core.data import ImageDataset
from dpbench.core.files import digest
from dpbench.core.plugin_names import PREFIX, shown_name
from dpbench.core.public_sources import PublicSources
from dpbench.core.source_code import Source, parse

PACKAGE = Path(__file__).parents[1]
"""The folder of dpbench."""

TABLES = frozenset({"dpbench", "dpbench.core.registries", "dpbench.core.builtin_plugins"})
"""Modules that only map names to other modules. They do not count; the modules that they name do."""

STARTED = time.time()
"""A file changed after this time may differ from the code that this process has imported."""


def code_hash(*objects: object) -> str:
    """A hash of the import closure of the modules that define these objects.

    Code without a source file (a notebook's), or whose file changed after this process started, counts as code that no
    other process has. So a result of the code in memory is never stored under the hash of the code on disk.

    Args:
        objects: a class, with all its base classes; a function, with everything that it captures (variables of the
            enclosing function, defaults, bound `self`); a module; the full name of a dpbench module as a string. Any
            other object stands for its class. An image dataset also stands for the datasets and functions that it is
            made of, because its fingerprint identifies files but not how they are decoded.

    Raises:
        DpbenchError: a source file is gone or is not valid Python.
    """
    roots = _roots(objects)
    sources = _sources(roots)
    is_known = all(module.path is not None for module in roots) and not _changed(sources)
    return digest(_codes(sources) + ([] if is_known else _marks(objects)))


def outside_hash(*objects: object) -> str:
    """A hash of those modules of the import closure that are not dpbench's own; "" if there are none.

    Of classes without a source file, only their own compiled code counts.

    Args:
        objects: as for `code_hash`.

    Raises:
        DpbenchError: as `code_hash`.
    """
    roots = {module for module in _roots(objects) if module.top != PACKAGE.name}
    if not roots:
        return ""
    sources = {name: s for name, s in _sources(roots).items() if name.partition(".")[0] != PACKAGE.name}
    classes = [cls for o in objects for cls in (o if isinstance(o, type) else type(o)).__mro__]
    without_file = [compiled(cls) for cls in classes if (module := _module(cls)) in roots and module.path is None]
    return digest(_codes(sources) + without_file + (_marks(objects) if _changed(sources) else []))


def _sources(roots: Iterable[Module]) -> dict[str, Source]:
    found: dict[str, Source] = {}
    for module in roots:
        found |= _closure(module)
    return found


def _codes(sources: Mapping[str, Source]) -> list[Any]:
    return sorted((shown_name(name), source.code) for name, source in sources.items())


def _changed(sources: Mapping[str, Source]) -> bool:
    """Whether a file may differ from the code that this process has imported."""
    return any(source.changed > STARTED for source in sources.values())


def _marks(objects: Iterable[object]) -> list[Any]:
    return [_mark(o if isinstance(o, type) else _module(o).name) for o in objects]


def code_of(plugin: type, config: Any, *more: object) -> str:
    """The hash of a plugin's code together with that of the plugins that its configuration chooses.

    Args:
        plugin: the plugin's class.
        config: its configuration, whose `Choice` fields are followed.
        more: further code that the result depends on; see `code_hash`.

    Raises:
        DpbenchError: as `code_hash`; a chosen plugin cannot be imported.
    """
    return code_hash(plugin, type(config), *chosen_by(config), *more)


def chosen_by(config: Any) -> Iterator[type]:
    """The classes of the plugins that a configuration chooses, and of their configurations, at any depth."""
    for f in fields(config):
        choice, named = getattr(config, f.name), f.metadata.get("named")
        if named is not None and choice in named.names():
            yield named.get(choice)
        if isinstance(choice, Choice):
            yield f.metadata["registry"].get(choice.name)
            yield type(choice.config)
            yield from chosen_by(choice.config)


@cache
def _mark(owner: type | str) -> str:
    """A value unique to this process and to this definition of a class."""
    return uuid4().hex


class Module(NamedTuple):
    """A module's full name, and its file, or None if it has none."""

    name: str
    path: Path | None

    @property
    def top(self) -> str:
        """The top-level package's name."""
        return self.name.partition(".")[0]

    @property
    def package(self) -> str:
        """The package that relative imports start from."""
        is_package = self.path is not None and self.path.name == "__init__.py"
        return self.name if is_package else self.name.rpartition(".")[0]


def _module(value: object) -> Module:
    """The module that defines a class or function, or an instance's class; a module itself, also by its name."""
    if isinstance(value, str | ModuleType):
        name = value if isinstance(value, str) else value.__name__
    else:
        name = (value if isinstance(value, type | FunctionType | MethodType) else type(value)).__module__
    if name.partition(".")[0] == PACKAGE.name:
        return Module(name, _find(name, ()))
    file = getattr(sys.modules.get(name), "__file__", None)
    return Module("__main__" if name == "__mp_main__" else name, Path(file) if file else None)


def _roots(objects: Iterable[object]) -> set[Module]:
    """The modules that define these objects and what they hold; of installed packages, only the objects' own."""
    found = set(map(_module, objects))
    own = {module.top for module in found} - sys.stdlib_module_names
    seen, todo = dict[int, object](), list(objects)
    while todo:
        item = todo.pop()
        if id(item) not in seen:
            seen[id(item)] = item
            if not isinstance(item, str):  # a captured string is a plain value, not a module's name
                found.add(_module(item))
            todo += _held(item)
    return {module for module in found if module.top in own or not _is_installed(module)}


@singledispatch
def _held(value: Any) -> Iterable[Any]:
    """The objects that an object's behaviour depends on: for an instance, its class."""
    return (type(value),)


@_held.register
def _(value: ImageDataset) -> Iterable[Any]:
    return type(value), *(part for part in vars(value).values() if isinstance(part, ImageDataset) or callable(part))


@_held.register
def _(value: PublicSources) -> Iterable[Any]:
    return type(value), *value.sources.values()


@_held.register(ModuleType)
@_held.register(str)
def _(value: object) -> Iterable[Any]:
    return ()


@_held.register
def _(value: type) -> Iterable[Any]:
    return value.__mro__[1:]


@_held.register
def _(value: FunctionType) -> Iterable[Any]:
    captured = [cell.cell_contents for cell in value.__closure__ or () if cell != type(cell)()]
    return [*captured, *(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]


@_held.register
def _(value: MethodType) -> Iterable[Any]:
    return value.__func__, value.__self__


@_held.register
def _(value: partial) -> Iterable[Any]:  # type: ignore[type-arg] # singledispatch takes no parametrised class
    return value.func, *value.args, *value.keywords.values()


@_held.register(list)
@_held.register(tuple)
@_held.register(set)
def _(value: Iterable[Any]) -> Iterable[Any]:
    return value


@_held.register
def _(value: dict) -> Iterable[Any]:  # type: ignore[type-arg]
    return value.values()


def _is_installed(module: Module) -> bool:
    """Whether a module is part of Python or of an installed package."""
    if module.top in sys.stdlib_module_names:
        return True
    path = module.path or getattr(sys.modules.get(module.top), "__file__", None)
    return path is not None and not {"site-packages", "dist-packages"}.isdisjoint(Path(path).parts)


def _closure(root: Module) -> dict[str, Source]:
    """The sources of a module and of what it imports, by full name."""
    found: dict[str, Source] = {}
    folders, todo, met = _folders(root), [root], {root.name}
    own = {root.top, PACKAGE.name} if _is_installed(root) else None
    while todo:
        module = todo.pop()
        if module.path is None or module.name in TABLES:
            continue
        found[module.name] = source = parse(module.path)
        for name in _imported(module, source, folders):
            if name not in met and (own is None or name.partition(".")[0] in own):
                new = [part for part in _with_packages(name) if part not in met]
                met |= {*new}
                todo += [Module(part, _find(part, folders)) for part in new]
    return found


def _imported(module: Module, source: Source, folders: Iterable[Path]) -> Iterator[str]:
    """The full names that a module's import statements lead to, whether they exist or not."""
    for statement in source.imports:
        base = statement.absolute(module.package)
        yield base
        path = _find(base, folders)
        lazy = parse(path).lazy if path and path.name == "__init__.py" else {}
        for name in statement.names:
            yield f"{base}.{name}"
            if name in lazy:
                yield lazy[name]
        if "*" in statement.names:
            yield from lazy.values()


def _with_packages(name: str) -> list[str]:
    """ "a.b.c" -> ["a", "a.b", "a.b.c"]: importing a module runs its packages first."""
    parts = name.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def _find(name: str, folders: Iterable[Path]) -> Path | None:
    """The file of a module of dpbench, of a plugin that is a package, or in one of `folders`."""
    top, *rest = name.split(".")
    for base in _package_folders(top, folders):
        place = base.joinpath(*rest)
        for path in (place / "__init__.py", place.parent / f"{place.name}.py"):
            if path.is_file():
                return path
    return None


def _package_folders(top: str, folders: Iterable[Path]) -> list[Path]:
    """The folders that may be the top-level package `top`."""
    if top == PACKAGE.name:
        return [PACKAGE]
    if top.startswith(PREFIX):
        return [Path(folder) for folder in getattr(sys.modules.get(top), "__path__", ())]
    return [folder / top for folder in folders]


def _folders(module: Module) -> tuple[Path, ...]:
    """The folders searched for modules beside a file outside dpbench: its own, and that of its top-level package."""
    if module.path is None or module.top == PACKAGE.name:
        return ()
    depth = len(module.package.split(".")) if module.package else 0
    outermost = module.path.parent
    while (outermost / "__init__.py").is_file():
        outermost = outermost.parent
    return tuple(dict.fromkeys([module.path.parent, module.path.parents[depth], outermost]))
