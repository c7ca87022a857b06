"""Module names of plugins that a user names by path: unique to the path, which code hashes nevertheless ignore."""

from __future__ import annotations

import re
from pathlib import Path

from dpbench.core.files import digest

PREFIX = "dpbench_plugin_"


def module_name(path: Path) -> str:
    """The module name of the plugin at a path."""
    path = path.resolve()
    stem = re.sub(r"\W", "_", path.stem)
    return f"{PREFIX}{digest(str(path), 8)}_{stem}"


def shown_name(module: str) -> str:
    """A module's name; for a plugin, without the part that depends on its folder."""
    return re.sub(rf"^{PREFIX}[0-9a-f]{{8}}_", PREFIX, module)
