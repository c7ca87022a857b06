"""Base of the methods that release a mean embedding per class and train a generator to match it, as in DP-MERF."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, TypeVar

from dpbench.core.context import RunContext
from dpbench.core.specs import DatasetSpec, Request
from dpbench.methods.cores.matching_settings import EMBEDDING, MatchingConfig
from dpbench.methods.cores.model_method import ModelMethod
from dpbench.privacy.plan import Plan

if TYPE_CHECKING:
    from dpbench.methods.cores.matched_generator import Features, MatchedGenerator
    from dpbench.privacy.private_data import PrivateData

M = TypeVar("M", bound=MatchingConfig)


class MatchingMethod(ModelMethod[M]):
    """A generator trained to match the noisy mean features of each class. Subclasses define the features.

    Attributes:
        model: the generator, its training and its sampling.
    """

    Config = MatchingConfig
    model: MatchedGenerator

    def __init__(self, config: M, spec: DatasetSpec):
        super().__init__(config, spec)
        from dpbench.methods.cores.matched_generator import MatchedGenerator

        self.model = MatchedGenerator(config, spec)

    @abstractmethod
    def features(self, device: str) -> Features:
        """The public map from images [b, c, h, w] in [0, 1] to features [b, d] of norm 1."""

    @classmethod
    def plan(cls, config: M, spec: DatasetSpec, request: Request) -> Plan:
        """One release over all records.

        Raises:
            ConfigError: the generator does not fit the resolution.
        """
        config.generator.check_divides(spec.resolution)
        return Plan(config.embedding_query())

    def fit(self, private: PrivateData, run: RunContext) -> None:
        """Releases the mean embeddings, then trains the generator to match them; see `Method.fit`."""
        self.model.learn(private, EMBEDDING, self.features(run.device), run)
