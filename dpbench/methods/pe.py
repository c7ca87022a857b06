"""Private Evolution (Lin et al., arXiv 2305.15560): private images vote for the images of a public generator.

The generator is never trained on private data, so there are no private gradients. In each iteration, every private
record votes for the candidate nearest to it in a public embedding. The noisy votes select the candidates whose
variations form the next generation. With a generator that renders captions, this is SPTI (arXiv 2506.07555).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from dpbench.core.config import Choice, option, plugin_option
from dpbench.core.context import RunContext
from dpbench.core.data import ImageDataset
from dpbench.core.errors import ConfigError
from dpbench.core.method import Method, Preset, required
from dpbench.core.registries import GENERATORS
from dpbench.core.specs import CONDITIONS, Condition, Conditions, DatasetSpec, Request
from dpbench.core.track import Track, joint_track
from dpbench.methods.cores.votes.vote_embedding import (
    check_embedding,
    embedding_option,
    embedding_track,
    embedding_weights,
)
from dpbench.privacy.mechanisms.mechanism import NoisySum
from dpbench.privacy.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor

    from dpbench.privacy.private_data import PrivateData

VOTES = "nearest-neighbour votes"
"""Name of the mechanism that releases the histograms."""


@dataclass(frozen=True)
class PEConfig:
    """Settings of Private Evolution."""

    generator: Choice = plugin_option("diffusion", GENERATORS, "public generator of the candidates")
    embedding: str = embedding_option()
    population: int = option(200, "candidates per class, or in total without classes", low=2)
    iterations: int = option(6, "number of private histograms, and of generations after the first", low=1)
    votes: int = option(1, "nearest candidates that a record votes for, with weight 1/√votes each", low=1)
    lookahead: int = option(
        0, "variations whose mean embedding represents a candidate; 8 as published; 0: its own embedding", low=0
    )
    threshold: float = option(
        2**0.5, "votes subtracted from each count, in standard deviations of its noise; √2 as published", low=0
    )
    select: Literal["proportional", "rank"] = option(
        "proportional", "candidates are drawn in proportion to their votes, or the best ones equally often"
    )
    best: float = option(0.125, "select=rank: share of the candidates that are drawn", above=0, high=1)
    keep: bool = option(False, "keep half of the drawn candidates in the next generation, next to the variations")
    first_degree: float = option(0.3, "degree of the first variations, see `dpbench list generators`", above=0, high=1)
    last_degree: float = option(
        0.1, "degree of the last variations and of the samples; one iteration has first_degree only", above=0, high=1
    )

    def __post_init__(self) -> None:
        if self.votes > self.population:
            raise ConfigError(f"a record cannot vote for {self.votes} of {self.population} candidates; set fewer votes")
        if self.last_degree > self.first_degree:
            raise ConfigError("variations become smaller: last_degree must not be above first_degree")
        check_embedding(self.embedding)

    def degree(self, iteration: int) -> float:
        """The degree of the variations of an iteration, from 0: it falls linearly."""
        share = iteration / max(1, self.iterations - 1)
        return self.first_degree + share * (self.last_degree - self.first_degree)


class PE(Method[PEConfig]):
    """Images of a public generator, selected and varied by noisy votes of the private ones (Private Evolution).

    One mechanism: one noisy histogram of votes per iteration, over all records; together they compose as one Gaussian
    mechanism. A sample is a variation of a candidate drawn by the last votes. The public reference is a variation of a
    random image of the generator. On data with captions, the method reads only the images, and samples do not follow
    prompts.
    """

    Config = PEConfig
    version = "1"
    track = "images"
    conditions: ClassVar[frozenset[Condition]] = CONDITIONS
    paper = "arXiv 2305.15560"
    presets: ClassVar[Mapping[str, Preset]] = {
        "small": Preset(),
        "small/mnist": Preset(
            {
                **{"generator.name": "glyphs", "generator.characters": "0123456789"},
                **{"population": 300, "iterations": 4, "threshold": 2.5},
            },
            tuning="hold-out of mnist train",
        ),
        "small/shapes": Preset({"generator.name": "nearest", "population": 300}),
        "small/scenes": Preset(
            {
                **{"generator.name": "captions", "generator.edits": "scenes", "generator.text_tokens": 24},
                **{"generator.attention": 1, "generator.steps": 2000, "generator.batch": 64},
                **{"generator.sampling_steps": 12, "generator.sigma_min": 0.5},
                **{"population": 300, "select": "rank", "keep": True},
            }
        ),
        "gpu": Preset(
            {
                **{"population": 1000, "iterations": 10, "lookahead": 4, "first_degree": 0.7, "last_degree": 0.3},
                **{"generator.steps": 20_000, "generator.batch": 256, "generator.channels": (64, 128)},
                **{"generator.attention": 1, "generator.patch": 2, "generator.sampling_steps": 32},
            }
        ),
        "paper": Preset(
            {
                **{"embedding": "inception", "population": 5000, "iterations": 20, "lookahead": 8},
                **{"first_degree": 1.0, "last_degree": 0.62},  # starts at 0, 2, ..., 38 of 100 steps
                **{"generator.steps": 200_000, "generator.batch": 1024, "generator.channels": (64, 128)},
                **{"generator.attention": 1, "generator.patch": 1, "generator.sampling_steps": 100},
            }
        ),
    }

    def __init__(self, config: PEConfig, spec: DatasetSpec):
        super().__init__(config, spec)
        from dpbench.methods.cores.votes.population import Population

        generator = GENERATORS.get(config.generator.name)(config.generator.config, spec.shape)
        self._population = Population(generator, max(1, spec.n_classes), config.population)

    @classmethod
    def track_of(cls, config: PEConfig) -> Track:
        """The track is "foundation" if the generator or the embedding has weights pretrained elsewhere."""
        generator = GENERATORS.get(config.generator.name).track_of(config.generator.config)
        return joint_track(cls.track, generator, embedding_track(config.embedding))

    @classmethod
    def weights_of(cls, config: PEConfig) -> Mapping[str, str]:
        """The weights of the generator and of the embedding."""
        generator = GENERATORS.get(config.generator.name).weights_of(config.generator.config)
        return {**generator, **embedding_weights(config.embedding)}

    @classmethod
    def plan(cls, config: PEConfig, spec: DatasetSpec, request: Request) -> Plan:
        """One mechanism: a histogram per iteration, over all records.

        Sensitivity: a record's votes are a vector of norm 1; see `nearest_votes`.

        Raises:
            ConfigError: the generator does not make images of this shape.
        """
        GENERATORS.get(config.generator.name).check_shape(config.generator.config, spec.shape)
        return Plan(NoisySum(name=VOTES, clip=1.0, count=config.iterations))

    def prepare(self, public: ImageDataset | None, run: RunContext) -> None:
        """Prepares the generator, and draws the first generation; see `Method.prepare`.

        Raises:
            ConfigError: there is no public dataset.
        """
        self._population.generator.prepare(required(public), run)
        self._population.start(run)

    def fit(self, private: PrivateData, run: RunContext) -> None:
        """Releases the votes on each generation, and replaces it with variations of the selected candidates."""
        from dpbench.methods.cores.votes.candidate_selection import SELECTIONS, above
        from dpbench.methods.cores.votes.nearest_votes import embedded, nearest_votes
        from dpbench.methods.cores.votes.vote_embedding import embedding

        c, population = self.config, self._population
        embed = embedding(c.embedding, self.spec, run)
        records = embedded(private, embed)
        noise = private.plan[VOTES].noise_scale_at(1)
        with run.progress.phase("evolve the population (private)", c.iterations) as advance:
            for iteration in range(c.iterations):
                if iteration:
                    population.evolve(c.degree(iteration - 1), c.keep, run)
                points = population.embeddings(embed, c.lookahead, c.degree(iteration), run)
                votes = nearest_votes(records, VOTES, points, c.votes)
                population.weights = SELECTIONS[c.select](above(votes, c.threshold * noise), c.best)
                advance(1)

    def sample(self, conditions: Conditions, run: RunContext) -> Tensor:
        """See `Method.sample`."""
        return self._population.sample(conditions, self.config.degree(self.config.iterations - 1), run)

    def state_dict(self) -> dict[str, Tensor]:
        """The last generation, its votes, and the generator's state."""
        return self._population.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """See `Method.load_state_dict`."""
        self._population.load_state_dict(state)

    def parameters(self) -> tuple[int, int]:
        """(number of values in the last generation and its votes, the same plus the generator's state)."""
        state = self.state_dict()
        private = sum(t.numel() for name, t in state.items() if not name.startswith("generator."))
        return private, sum(t.numel() for t in state.values())
