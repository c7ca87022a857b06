"""The plugin under test, and the checks of its declarations that all kinds of plugins share."""

from __future__ import annotations

import inspect
import string
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from dpbench.contracts.promise import must_work, require
from dpbench.core.registry import Registry
from dpbench.core.source_code import parse

P = TypeVar("P")


@dataclass(frozen=True)
class Case(Generic[P]):
    """A plugin under test.

    Attributes:
        registry: where it is registered.
        name: its registered name.
        folder: an empty folder for the checks' files.
    """

    registry: Registry[P]
    name: str
    folder: Path

    @cached_property
    def plugin(self) -> type[P]:
        """The plugin's class."""
        return self.registry.get(self.name)


def check_summary(case: Case[P]) -> None:
    """The first line of the docstring is the summary that `dpbench list` prints."""
    first = (inspect.getdoc(case.plugin) or "").partition("\n")[0]
    require(bool(first), f"{case.name} has no docstring; describe it in one line")
    summary = case.registry.summary(case.name)
    differ = f"the docstring of {case.name} starts with '{first}', but its summary is '{summary}'"
    require(first == summary, f"{differ}; make them equal")


def check_weights(case: Any) -> None:
    """Weights are named with 12 digits of their hash; a plugin is in "foundation" if and only if it has weights."""
    with must_work(f"naming the weights of {case.name}"):
        weights = case.plugin.weights_of(case.config)
    digits = all(len(digits) == 12 and set(digits) <= set(string.hexdigits) for digits in weights.values())
    require(digits, f"{case.name} must name 12 hexadecimal digits of the SHA-256 of each file of weights")
    track = case.plugin.track_of(case.config)
    require(
        (track == "foundation") == bool(weights),
        f"{case.name} is in the track '{track}' with {len(weights)} named weights; make the two agree",
    )


def require_no_torch(case: Case[P], code: str = "") -> None:
    """Imports the plugin in a new process, as `plugin`, runs `code`, and requires that torch was not imported.

    Raises:
        ContractError: torch was imported, or the code failed.
    """
    lines = [
        "import sys",
        f"sys.path[:0] = {sys.path!r}",
        f"from {case.plugin.__module__} import {case.plugin.__qualname__} as plugin",
        code,
        "sys.exit('torch is imported' if 'torch' in sys.modules else 0)",
    ]
    ended = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, encoding="utf-8", check=False)
    reason = (ended.stderr.strip().splitlines() or [""])[-1]
    require(
        ended.returncode == 0,
        f"importing and configuring {case.name} must need no torch ({reason}); import torch inside its functions",
    )


def imported_names(plugin: type) -> set[str]:
    """Full names of the modules that the plugin's file imports, and of what it takes from them."""
    package = plugin.__module__.rpartition(".")[0]
    names = set()
    for statement in parse(Path(inspect.getfile(plugin))).imports:
        module = statement.absolute(package)
        names |= {module, *(f"{module}.{name}" for name in statement.names)}
    return names
