"""A conditional generator trained to match mean embeddings (DP-MERF, arXiv 2002.11603).

An embedding is the mean of the features of many images. With kernel features, matching it minimises a maximum mean
discrepancy (MMD).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from dpbench.core.context import RunContext
from dpbench.core.specs import Batch, Conditions, DatasetSpec
from dpbench.methods.cores.class_sums import class_sums
from dpbench.methods.cores.matching_settings import MatchingConfig
from dpbench.methods.cores.released_images import ReleasedImages
from dpbench.models.generator import ConditionalGenerator
from dpbench.privacy.private_data import PrivateData
from dpbench.training.loop import PublicSteps, train
from dpbench.training.public import to_unit

SAMPLED = 1000
"""Images sampled at once as training data."""

Features = Callable[[Tensor], Tensor]
"""Images [b, c, h, w] in [0, 1] -> features [b, d] of norm 1."""


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

    def learn(self, private: PrivateData, mechanism: str, features: Features, run: RunContext) -> None:
        """Releases the mean features of each class, then trains the network to match them."""
        targets = mean_embeddings(private, mechanism, features, self.config.count_weight)
        self.match(targets, features, run)

    def match(self, targets: Tensor, features: Features, run: RunContext) -> None:
        """Trains the network to match `targets` [classes, d], the mean features of each class."""
        c, model = self.config, self.network.to(run.device).train()
        optimizer = torch.optim.Adam(model.parameters(), c.lr)
        per_class = max(2, c.batch // self.classes)
        labels = torch.arange(self.classes, device=run.device).repeat_interleave(per_class)

        def loss() -> Tensor:
            made = features(model(labels, run.generator))
            return mmd_loss(made.reshape(self.classes, per_class, -1), targets)

        steps = PublicSteps(loss, optimizer, c.steps, run)
        train(steps, model, optimizer, run, "train the generator (post-processing)")

    @torch.inference_mode()
    def sample(self, conditions: Conditions, run: RunContext) -> Tensor:
        """One image per condition: uint8 [n, c, h, w]."""
        labels = torch.zeros(conditions.count, dtype=torch.long)
        if conditions.labels is not None:
            labels = torch.tensor(conditions.labels)
        images = self.network.to(run.device).eval()(labels.to(run.device), run.generator)
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


def mean_embeddings(private: PrivateData, mechanism: str, features: Features, count_weight: float) -> Tensor:
    """Noisy mean features of each class, [classes, d], from one noisy sum of features and counts.

    A record contributes its features (of norm 1) and `count_weight` in the row of its class: a vector of norm
    √(1 + count_weight²). The noisy sum of features is divided by the noisy count from the same release.
    """

    def features_and_count(batch: Batch) -> Tensor:
        assert batch.images is not None
        embedded = features(batch.images.float() / 255)
        count = torch.full((len(embedded), 1), count_weight, device=embedded.device)
        return torch.cat([embedded, count], 1)

    sums = class_sums(private, mechanism, features_and_count)
    counts = (sums[:, -1:] / count_weight).clamp_min(1)
    return sums[:, :-1] / counts


def mmd_loss(features: Tensor, targets: Tensor) -> Tensor:
    """Unbiased MMD² to the targets, up to a constant, summed over classes: a scalar.

    Features have norm 1, so the m diagonal terms of ‖Σφ‖² sum to m. Subtracting them removes the bias towards
    identical images in small batches.

    Args:
        features: [classes, m, d], features of generated images.
        targets: [classes, d], mean features to match.
    """
    m = features.shape[1]
    total = features.sum(1)
    among_generated = (total.square().sum(1) - m) / (m * (m - 1))
    return (among_generated - 2 * (total * targets).sum(1) / m).sum()
