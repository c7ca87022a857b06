"""Optional packages, which pip installs as extras of dpbench."""

from __future__ import annotations

import importlib
import importlib.util
import re
from typing import Any

from dpbench.core.errors import NotInstalled


def import_extra(package: str, extra: str) -> Any:
    """Imports an optional package and returns it.

    Args:
        package: name of the package, e.g. "transformers".
        extra: name of the extra that installs it, e.g. "hub".

    Raises:
        NotInstalled: the package is not installed.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise NotInstalled(f"{package} is not installed; `pip install 'dpbench[{extra}]'`") from error


def lacks_extra(reason: str) -> bool:
    """Whether a message of `import_extra` still holds; False for other messages."""
    found = re.match(r"(\w+) is not installed; ", reason)
    return found is not None and importlib.util.find_spec(found[1]) is None
