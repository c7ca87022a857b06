"""A new package with one plugin, made from a template: `dpbench new`."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from dpbench.core.errors import DpbenchError
from dpbench.core.files import write_atomic
from dpbench.core.registries import DATASETS, EXTRACTORS, METHODS, METRICS, REFINERS
from dpbench.core.registry import Registry

KINDS: Mapping[str, Registry[Any]] = {r.kind: r for r in (METHODS, DATASETS, METRICS, REFINERS, EXTRACTORS)}
"""The kinds of plugins that have a template."""

TRY: Mapping[str, str] = {
    "method": "dpbench run --method {0} --eps 1,10",
    "dataset": "dpbench run --method wavelet --dataset {0} --eps 10",
    "metric": "dpbench run --method wavelet --eps 10 --metrics {0}",
    "refiner": "dpbench run --method wavelet --eps 10 --set refiner.name={0}",
    "extractor": "dpbench show {0}",
}
"""Kind -> a command that uses the plugin."""


def write_package(kind: str, name: str, parent: Path) -> Path:
    """Writes the folder `name` in `parent`: a package with the plugin, its test, a README and an entry point.

    Args:
        kind: one of `KINDS`.
        name: the plugin's name: lower-case words joined by hyphens.
        parent: an existing folder, or a new one.

    Returns:
        The new folder.

    Raises:
        DpbenchError: the name is malformed or taken, or the folder exists already.
    """
    _check_name(kind, name)
    folder, package = parent / name, name.replace("-", "_")
    if folder.exists():
        raise DpbenchError(f"{folder} exists already; choose another name, or remove it")
    written = {
        f"{package}/__init__.py": f"my_{kind}.py",
        f"tests/test_{package}.py": "test_my_plugin.py",
        "pyproject.toml": "package.toml",
        "README.md": "package.md",
    }
    for path, template in written.items():
        text = _filled_in((files("dpbench") / "templates" / template).read_text(encoding="utf-8"), kind, name)
        write = partial(Path.write_text, data=text, encoding="utf-8")
        write_atomic(folder / path, write)
    return folder


def _check_name(kind: str, name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise DpbenchError(f"'{name}' cannot name a package; use lower-case words joined by hyphens, such as my-{kind}")
    if name in KINDS[kind].names():
        raise DpbenchError(f"there is a {kind} called '{name}' already; choose another name")


def _filled_in(text: str, kind: str, name: str) -> str:
    """A template with the plugin's own names in place of "my-method" or "my-plugin", "my_method" and "MyMethod"."""
    package, class_name = name.replace("-", "_"), "".join(word.title() for word in name.split("-"))
    words = {"KIND": kind, "COMMAND": TRY[kind].format(name)}
    for stem in (kind, "plugin"):
        words |= {f"my-{stem}": name, f"my_{stem}": package, f"My{stem.title()}": class_name}
    return re.sub("|".join(words), lambda found: words[found[0]], text)
