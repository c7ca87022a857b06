"""A conditional generator trained to match noisy mean embeddings (DP-MERF, arXiv 2002.11603).

An embedding is the mean of the features of many images. With kernel features, matching it minimises a maximum mean
discrepancy (MMD).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dpbench.core.context import RunContext
from dpbench.core.specs import Conditions, DatasetSpec
from dpbench.methods.cores.matching.matching_settings import MatchingConfig
from dpbench.methods.cores.matching.matching_steps import MakeFeatures, MatchingSteps
from dpbench.methods.cores.released_images import ReleasedImages
from dpbench.models.generator import ConditionalGenerator
from dpbench.models.image_range import to_unit
from dpbench.privacy.private_data import PrivateData
from dpbench.training.loop import train

SAMPLED = 1000
"""Images sampled at once as training data."""


class MatchedGenerator:
    """A small conditional network, its training and its sampling.

    Args:
        config: sizes and training settings.
        spec: the dataset's public declaration.

    Raises:
        ConfigError: the network does not fit the resolution.
    """

    def __init__(self, config: MatchingConfig, spec: DatasetSpec):
        self.config = config
        self.classes = max(1, spec.n_classes)
        self.network = ConditionalGenerator(spec.channels, spec.resolution, self.classes, config.generator)

    def learn(
        self, private: PrivateData, mechanism: str, features: MakeFeatures, run: RunContext, kept: int = 1
    ) -> None:
        """Trains the network to match the mean features of each class, as the mechanism releases them.

        Args:
            private: the sensitive records.
            mechanism: name of a `NoisySum` in the plan.
            features: makes the features of each release.
            run: see `Method.fit`.
            kept: number of latest releases; each step matches one of them.
        """
        c, model = self.config, self.network.to(run.device).train()
        optimizer = torch.optim.Adam(model.parameters(), c.lr)
        per_class = max(2, c.batch // self.classes)
        labels = torch.arange(self.classes, device=run.device).repeat_interleave(per_class)

        def generate() -> Tensor:
            with run.autocast():
                return model(labels, run.generator).float()

        steps = MatchingSteps(
            private, mechanism, features, generate, optimizer, c.steps, c.count_weight, kept, run.generator
        )
        title, note = "match the noisy embeddings", private.ledger.progress
        train(steps, model, optimizer, run, title, note=note)

    @torch.inference_mode()
    def sample(self, conditions: Conditions, run: RunContext) -> Tensor:
        """One image per condition: uint8 [n, c, h, w]."""
        images = self.network.to(run.device).eval()(conditions.class_rows.to(run.device), run.generator)
        return (images * 255).round().to(torch.uint8)

    def released(self, conditions: Conditions, run: RunContext) -> ReleasedImages:
        """One image per condition, as training data for another model."""
        images = torch.cat([to_unit(self.sample(part, run).cpu()) for part in conditions.chunks(SAMPLED)])
        return ReleasedImages(images, None if conditions.labels is None else torch.tensor(conditions.labels))

    def state_dict(self) -> dict[str, Tensor]:
        """The network's weights."""
        return dict(self.network.state_dict())

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores `state_dict()`."""
        self.network.load_state_dict(dict(state))
