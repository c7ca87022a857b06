"""Two generators in turn: one that makes images, and one that varies them further."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dpbench.core.config import Choice, option, plugin_option
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import ConfigError
from dpbench.core.public_generator import Candidates, PublicGenerator
from dpbench.core.registries import GENERATORS
from dpbench.core.state_parts import joined, part_of
from dpbench.core.track import Track, joint_track


@dataclass(frozen=True)
class CompositeConfig:
    """The two generators, and the degree at which the second one takes over."""

    first: Choice = plugin_option("glyphs", GENERATORS, "makes random images, and far variations of them")
    second: Choice = plugin_option("diffusion", GENERATORS, "makes near variations, from images only")
    switch: float = option(0.2, "degree below which the second generator makes the variations", above=0, high=1)

    def __post_init__(self) -> None:
        if not GENERATORS.get(self.second.name).varies_any:
            raise ConfigError(f"{self.second.name} varies only its own images, so it can only be the first generator")


class Composite(PublicGenerator[CompositeConfig]):
    """Two public generators: the first one starts, and the second one varies its images when degrees are small."""

    Config = CompositeConfig
    paper = "arXiv 2502.05505"
    varies_any = False

    def __init__(self, config: CompositeConfig, shape: tuple[int, int, int]):
        super().__init__(config, shape)
        self._first, self._second = (GENERATORS.get(c.name)(c.config, shape) for c in (config.first, config.second))

    @classmethod
    def track_of(cls, config: CompositeConfig) -> Track:
        """See `PublicGenerator.track_of`."""
        return joint_track(*(GENERATORS.get(c.name).track_of(c.config) for c in (config.first, config.second)))

    @classmethod
    def weights_of(cls, config: CompositeConfig) -> Mapping[str, str]:
        """See `PublicGenerator.weights_of`: the weights of both generators."""
        first, second = (GENERATORS.get(c.name).weights_of(c.config) for c in (config.first, config.second))
        return {**first, **second}

    @classmethod
    def check_shape(cls, config: CompositeConfig, shape: tuple[int, int, int]) -> None:
        """See `PublicGenerator.check_shape`."""
        for choice in (config.first, config.second):
            GENERATORS.get(choice.name).check_shape(choice.config, shape)

    def prepare(self, public: ImageDataset, run: RunContext) -> None:
        """See `PublicGenerator.prepare`."""
        self._first.prepare(public, run)
        self._second.prepare(public, run)

    def random(self, count: int, run: RunContext) -> Candidates:
        """See `PublicGenerator.random`."""
        return self._first.random(count, run)

    def vary(self, candidates: Candidates, degree: float, run: RunContext) -> Candidates:
        """See `PublicGenerator.vary`. Origins remain those of the first generator."""
        if degree >= self.config.switch:
            return self._first.vary(candidates, degree, run)
        varied = self._second.vary(self._second.adopt(candidates.images), degree, run)
        return Candidates(varied.images, candidates.origins)

    def state_dict(self) -> dict[str, Any]:
        """The states of both generators."""
        return joined({"first": self._first.state_dict(), "second": self._second.state_dict()})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores `state_dict()`."""
        self._first.load_state_dict(part_of(state, "first"))
        self._second.load_state_dict(part_of(state, "second"))
