"""The gradient engines by name."""

from __future__ import annotations

from collections.abc import Mapping

from dpbench.core.errors import UnknownName
from dpbench.privacy.gradients.bookkeeping import BookKeepingEngine
from dpbench.privacy.gradients.engine import GradientEngine
from dpbench.privacy.gradients.opacus_engine import OpacusEngine
from dpbench.privacy.gradients.vmap import VmapEngine

ENGINES: Mapping[str, type[GradientEngine]] = {
    "book-keeping": BookKeepingEngine,
    "opacus": OpacusEngine,
    "vmap": VmapEngine,
}


def engine_named(name: str) -> type[GradientEngine]:
    """The engine of that name.

    Raises:
        UnknownName: `ENGINES` has none.
    """
    if name not in ENGINES:
        raise UnknownName("engine", name, ENGINES)
    return ENGINES[name]
