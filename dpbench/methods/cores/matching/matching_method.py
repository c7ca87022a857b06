"""Base of the methods that release mean embeddings per class and train a generator to match them, as in DP-MERF."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, TypeVar

from dpbench.core.context import RunContext
from dpbench.core.specs import DatasetSpec, Request
from dpbench.methods.cores.matching.matching_settings import EMBEDDING, MatchingConfig
from dpbench.methods.cores.model_method import ModelMethod
from dpbench.privacy.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor

    from dpbench.methods.cores.matching.image_features import Features
    from dpbench.methods.cores.matching.matched_generator import MatchedGenerator
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
        from dpbench.methods.cores.matching.matched_generator import MatchedGenerator

        self.model = MatchedGenerator(config, spec)

    @abstractmethod
    def features(self, generated: Tensor, release: int) -> Features:
        """The public map from images to features of norm at most 1 whose mean is released.

        Args:
            generated: images of the current generator, [n, c, h, w] in [0, 1], on the device.
            release: number of the release, from 1.
        """

    @classmethod
    def plan(cls, config: M, spec: DatasetSpec, request: Request) -> Plan:
        """The releases of the mean embeddings.

        Raises:
            ConfigError: the generator does not fit the resolution.
        """
        config.generator.check_divides(spec.resolution)
        return Plan(config.embedding_query())

    def fit(self, private: PrivateData, run: RunContext) -> None:
        """Trains the generator to match the mean embeddings, which are released during training; see `Method.fit`."""
        self.model.learn(private, EMBEDDING, self.features, run)
