"""`--public auto:A,B,...`: private images choose one of several public sources, anew in every trial."""

from __future__ import annotations

from typing import Any, NamedTuple

from dpbench.core.config import build, changes
from dpbench.core.data import DataOptions, ImageDataset
from dpbench.core.errors import ConfigError
from dpbench.core.method import Method
from dpbench.core.public_sources import PublicSources
from dpbench.core.registries import DATASETS
from dpbench.core.specs import DatasetSpec
from dpbench.core.variants import parse_variant, split_list, variant_label
from dpbench.data.opening import canonical_name, open_public
from dpbench.methods.cores.votes.source_choice import SourceChoice, choosing

AUTO = "auto"
"""The keyword that replaces a dataset's name."""


class SourceCandidates(NamedTuple):
    """The public sources from which private images choose one.

    Attributes:
        choice: how they choose.
        names: canonical names, sorted.
    """

    choice: SourceChoice
    names: tuple[str, ...]

    def __str__(self) -> str:
        settings = variant_label(changes(SourceChoice(), self.choice))
        return f"{AUTO}{f'[{settings}]' if settings else ''}:{','.join(self.names)}"


def candidates(public: str) -> SourceCandidates | None:
    """ "auto:omniglot,textures" -> the two sources; None for the name of one source.

    Settings of `SourceChoice` are given in brackets: "auto[embedding=inception]:omniglot,textures".

    Raises:
        ConfigError: there are fewer than two sources, one is named twice, or a setting's value is wrong.
        UnknownName: a setting does not exist.
    """
    head, _, listed = public.partition(":")
    if head.partition("[")[0] != AUTO:
        return None
    names = [canonical_name(name) for name in split_list(listed)]
    if len(names) < 2:
        found = f"only '{names[0]}'" if names else "none"
        raise ConfigError(f"--public {AUTO} chooses between two or more sources, not {found}; write {AUTO}:A,B")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"--public {public} names {', '.join(twice)} more than once")
    return SourceCandidates(build(SourceChoice, parse_variant(head).settings), tuple(sorted(names)))


def canonical_public(public: str) -> str:
    """The canonical name of a public source, or of several to choose from.

    Raises:
        UnknownName: there is no such dataset.
        ConfigError: as `candidates`.
    """
    several = candidates(public)
    for name in several.names if several else (public,):
        DATASETS.get(name.partition(":")[0])  # so that a wrong name is an error for every method
    return str(several or canonical_name(public))


def open_sources(public: str, like: DatasetSpec, options: DataOptions) -> ImageDataset:
    """A public source, or a `PublicSources` with several to choose from, in the shape of the sensitive images.

    Raises:
        As `candidates`, and `open_public` for each source.
    """
    several = candidates(public)
    if several is None:
        return open_public(public, like, options)
    return PublicSources(str(several), {name: open_public(name, like, options) for name in several.names})


def learning_from(method: type[Method[Any]], public: str) -> type[Method[Any]]:
    """The method as it learns from a public source; for several, with a private choice before its private phase.

    Raises:
        ConfigError: as `candidates`, or there are several sources and the method learns from none.
    """
    several = candidates(public)
    if several is None:
        return method
    if method.track == "none":
        raise ConfigError(
            f"{method.__name__} learns from no public images, so --public {AUTO} has nothing to choose for it; "
            "run it without"
        )
    return choosing(method, several.choice, several.names)
