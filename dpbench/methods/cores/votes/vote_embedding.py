"""The public embedding in which private records look for their nearest candidates."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.errors import ConfigError, MissingScore
from dpbench.core.registries import EXTRACTORS
from dpbench.core.specs import DatasetSpec
from dpbench.core.track import Track

if TYPE_CHECKING:
    from torch import Tensor

    from dpbench.methods.cores.votes.nearest_votes import Embed

PIXELS = "pixels"
"""The embedding that needs no weights: pixels at a resolution of at most `SIDE`."""

SIDE = 16


def embedding_option() -> str:
    """A field for the name of an embedding."""
    help = f"space of the neighbour search: {PIXELS} (at most {SIDE}×{SIDE}) or a public extractor, e.g. inception"
    return option(PIXELS, help, named=EXTRACTORS)


def check_embedding(name: str) -> None:
    """Checks that an embedding exists and is public.

    Raises:
        UnknownName: there is no such extractor.
        ConfigError: it was trained on the sensitive images.
    """
    if name != PIXELS and EXTRACTORS.get(name).reads_train:
        raise ConfigError(f"the extractor '{name}' is trained on the sensitive images; an embedding must be public")


def embedding_weights(name: str) -> Mapping[str, str]:
    """The published weights of an embedding, with the first 12 digits of their SHA-256.

    Raises:
        NotInstalled, DataError: they are missing or damaged.
    """
    from dpbench.models.pretrained.finding import fingerprint
    from dpbench.models.pretrained.published import WEIGHTS

    return {name: fingerprint(name)} if name in WEIGHTS else {}


def embedding_track(name: str) -> Track:
    """ "foundation" for an embedding with published weights."""
    from dpbench.models.pretrained.published import WEIGHTS

    return "foundation" if name in WEIGHTS else "images"


def embedding(name: str, spec: DatasetSpec, run: RunContext) -> Embed:
    """The embedding of this name: `PIXELS`, or the features of an extractor.

    Raises:
        ConfigError: the extractor's weights are missing, or it does not suit the resolution.
    """
    if name == PIXELS:
        from dpbench.models.nearest_points import pixel_points

        return partial(pixel_points, side=SIDE)
    asked: Any = SimpleNamespace(spec=spec, run=run)  # an extractor that is not trained on train reads nothing else
    try:
        extractor = EXTRACTORS.get(name)(asked)
    except MissingScore as error:
        raise ConfigError(f"the embedding '{name}' is not available: {error}; set embedding={PIXELS}") from error

    def features(images: Tensor) -> Tensor:
        return extractor(images).flatten(1)

    return features
