"""Registrations that end with a block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import pytest

from dpbench.core.registry import Registry


@contextmanager
def temporary(registry: Registry[Any], plugins: Mapping[str, type] = MappingProxyType({})) -> Iterator[None]:
    """Undoes all registrations in the block at its end.

    Args:
        plugins: registered at the start of the block; each one replaces a plugin of the same name.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_registered", {**registry._registered, **plugins})
        yield
