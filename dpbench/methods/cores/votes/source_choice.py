"""Any method, with a private choice of its public source before its own private phase.

A planned query counts, for each public source, the private records whose nearest image is from this source. The method
then continues with the source that has most votes, which is post-processing of the noisy counts. The method itself is
unchanged. It is prepared on every source before anything private is read, so everything it learns there is public, and
all trials share it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from dpbench.core.config import option
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import ConfigError
from dpbench.core.method import Method
from dpbench.core.public_sources import PublicSources
from dpbench.core.refiner import Refiner
from dpbench.core.specs import Conditions, DatasetSpec, Request
from dpbench.core.track import Track, joint_track
from dpbench.methods.cores.votes.vote_embedding import (
    check_embedding,
    embedding,
    embedding_option,
    embedding_track,
    embedding_weights,
)
from dpbench.privacy.mechanisms.mechanism import NoisySum
from dpbench.privacy.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor

    from dpbench.methods.cores.votes.source_votes import SourceBallot
    from dpbench.privacy.private_data import PrivateData

VOTES = "public source votes"
"""Name of the mechanism that releases the counts."""


@dataclass(frozen=True)
class SourceChoice:
    """How private records choose a public source."""

    embedding: str = embedding_option()
    images: int = option(500, "images of each source that records are compared with", low=1)
    noise: float = option(50.0, "noise multiplier of the votes; their clip is 1", above=0)

    def __post_init__(self) -> None:
        check_embedding(self.embedding)

    def votes(self) -> NoisySum:
        """One release of the votes over all records, with fixed noise.

        Sensitivity: one vote per record, a vector of norm 1; see `SourceBallot.count`.
        """
        return NoisySum(name=VOTES, clip=1.0, noise_multiplier=self.noise)


class ChoosesSource(Method[Any]):
    """First base of the classes that `choosing` makes; the second base is the method that learns.

    Such a class inherits the method's declarations, and the code here counts as its own. Instances of the method, one
    per source, do the work.

    Attributes:
        learner: the method that learns from the chosen source.
        choice: how the source is chosen.
        names: names of the sources.
    """

    learner: ClassVar[type[Method[Any]]]
    choice: ClassVar[SourceChoice]
    names: ClassVar[tuple[str, ...]]

    def __init__(self, config: Any, spec: DatasetSpec):
        self.config, self.spec = config, spec
        self._learners = {name: self.learner(config, spec) for name in self.names}
        self._ballot: SourceBallot | None = None

    @property
    def public_choice(self) -> str:
        """See `Method.public_choice`."""
        return next(iter(self._learners)) if len(self._learners) == 1 else ""

    @property
    def refiner(self) -> Refiner[Any] | None:
        """The refiner of the method that learned; its cost is measured in `prepare_sampling`."""
        return self._chosen.refiner if self.public_choice else None

    @classmethod
    def track_of(cls, config: Any) -> Track:
        """The method's track; "foundation" where distances are measured with published weights."""
        return joint_track(cls.learner.track_of(config), embedding_track(cls.choice.embedding))

    @classmethod
    def weights_of(cls, config: Any) -> Mapping[str, str]:
        """The weights of the method and of the embedding."""
        return {**cls.learner.weights_of(config), **embedding_weights(cls.choice.embedding)}

    @classmethod
    def plan(cls, config: Any, spec: DatasetSpec, request: Request) -> Plan:
        """The votes, then the method's own mechanisms; they are calibrated together."""
        return Plan(cls.choice.votes(), *cls.learner.plan(config, spec, request).mechanisms)

    def prepare(self, public: ImageDataset | None, run: RunContext) -> None:
        """Prepares the method on every source, and embeds the images that records are compared with."""
        from dpbench.methods.cores.votes.source_votes import SourceBallot

        sources = self._sources(public)
        for name, learner in self._learners.items():
            learner.prepare(sources[name], run)
        embed = embedding(self.choice.embedding, self.spec, run)
        self._ballot = SourceBallot([*sources.values()], self.choice.images, embed, run.device)

    def prepare_sampling(self, public: ImageDataset | None, run: RunContext) -> None:
        """Prepares the sampling of the method on every source."""
        sources = self._sources(public)
        for name, learner in self._learners.items():
            with learner.refiner.cost.preparing(run.cache) if learner.refiner else nullcontext():
                learner.prepare_sampling(sources[name], run)

    def _sources(self, public: ImageDataset | None) -> Mapping[str, ImageDataset]:
        """The images of each source, in the order of `names`."""
        assert isinstance(public, PublicSources)
        return {name: public.sources[name] for name in self.names}

    def fit(self, private: PrivateData, run: RunContext) -> None:
        """Chooses the source with most noisy votes, and lets the method of that source learn; the others are dropped.

        Raises:
            ConfigError: `prepare` has not run.
        """
        if self._ballot is None:
            raise ConfigError("private images choose between prepared sources: run prepare first (audit: --prepare)")
        name = self.names[int(self._ballot.count(private, VOTES).argmax())]
        self._learners = {name: self._learners[name]}
        self._chosen.fit(private, run)

    @property
    def _chosen(self) -> Method[Any]:
        """The method that learns from the chosen source; only after the choice."""
        return self._learners[self.public_choice]

    def sample(self, conditions: Conditions, run: RunContext) -> Tensor:
        """Images of the method that learned."""
        return self._chosen.sample(conditions, run)

    def state_dict(self) -> dict[str, Tensor]:
        """The state of the method that learned, which loads it without the choice."""
        return self._chosen.state_dict()

    def parameters(self) -> tuple[int, int]:
        """The parameters of the method that learned."""
        return self._chosen.parameters()


@cache
def choosing(method: type[Method[Any]], choice: SourceChoice, names: tuple[str, ...]) -> type[Method[Any]]:
    """The method, with a private choice between public sources before its own private phase.

    Args:
        method: a method that learns from public images.
        choice: how the source is chosen.
        names: names of the sources, those of the `PublicSources` that `prepare` gets.
    """
    own = {"learner": method, "choice": choice, "names": names, "__doc__": method.__doc__, "__module__": __name__}
    return type(method.__name__, (ChoosesSource, method), own)
