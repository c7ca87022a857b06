"""Module names of plugins that a user names by path: no two paths share one, and hashes of code do not see the path."""

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
    """A module's name; that of a plugin without what depends on its folder."""
    return re.sub(rf"^{PREFIX}[0-9a-f]{{8}}_", PREFIX, module)
