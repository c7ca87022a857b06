"""Steps of a generator towards noisy mean embeddings, which are released between steps; a `Stepper`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dpbench.core.specs import Batch
from dpbench.methods.cores.class_sums import class_sums
from dpbench.methods.cores.matching.image_features import Features
from dpbench.privacy.private_data import PrivateData

MakeFeatures = Callable[[Tensor, int], Features]
"""(images of the current generator, [n, c, h, w] in [0, 1], class after class; number of a release, from 1) -> its
features. The same arguments give the same features."""


class Release(NamedTuple):
    """A release of noisy means.

    Attributes:
        number: number of the release, from 1.
        images: generated images that its features were made from.
        features: the map whose means were released.
        targets: their noisy means, [classes, d].
    """

    number: int
    images: Tensor
    features: Features
    targets: Tensor


class MatchingSteps:
    """Optimiser steps of a generator on the MMD to the last noisy mean embedding of each class.

    The releases of the mechanism are spread evenly over the steps, the first one before the first step. Each may have
    its own features, made from generated images. The steps in between are post-processing.

    A record contributes its features, of norm at most 1, and `count_weight`. The sums of features are divided by the
    noisy counts of the same releases, averaged over all releases so far. A count is at least 1 and twice the standard
    deviation of its noise, or the noise of a rare class would dominate the loss.

    Each step matches one of the last `kept` releases, drawn at random.

    Args:
        private: the sensitive records.
        mechanism: name of a `NoisySum` in the plan.
        features: makes the features of each release.
        generate: images of the generator with a graph, equally many of each class, class after class, in [0, 1].
        optimizer: optimizer of the generator.
        steps: number of steps; at least the number of releases.
        count_weight: weight of a record's count.
        kept: number of releases that steps choose from.
        generator: randomness of the choice (CPU).
    """

    def __init__(
        self,
        private: PrivateData,
        mechanism: str,
        features: MakeFeatures,
        generate: Callable[[], Tensor],
        optimizer: torch.optim.Optimizer,
        steps: int,
        count_weight: float,
        kept: int,
        generator: torch.Generator,
    ):
        self._private, self._mechanism = private, mechanism
        self._make_features, self._generate = features, generate
        self._optimizer = optimizer
        self._steps, self._count_weight = steps, count_weight
        self._count_noise = private.plan[mechanism].noise_scale_at(1) / count_weight
        self._generator = generator
        self._kept: deque[Release] = deque(maxlen=kept)
        self._classes = max(1, private.spec.n_classes)
        self._releases = private.plan[mechanism].releases
        self._done = 0
        self._counts = torch.zeros(self._classes, 1, device=private.device)
        self.key = ["matching", asdict(private.plan[mechanism]), count_weight, kept]

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[Tensor]:
        return self

    def __next__(self) -> Tensor:
        if self._done == self._steps:
            raise StopIteration
        images = self._generate()
        due = 1 + self._done * self._releases // self._steps
        if self._private.ledger.spent[self._mechanism] < due:
            self._release(images.detach())
        chosen = self._kept[int(torch.randint(len(self._kept), (), generator=self._generator))]
        loss = chosen.features.loss(images, chosen.targets)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        self._done += 1
        return loss.detach()

    def _release(self, images: Tensor) -> None:
        """Releases the mean of new features, made from generated images."""
        number = self._private.ledger.spent[self._mechanism] + 1
        features = self._make_features(images, number)
        sums, counts = noisy_sums(self._private, self._mechanism, features, self._count_weight)
        self._counts += counts
        least = max(1.0, 2 * self._count_noise / number**0.5)
        self._kept.append(Release(number, images, features, sums / (self._counts / number).clamp_min(least)))

    def state_dict(self) -> dict[str, Any]:
        """The numbers of steps and releases so far, and the releases that are kept."""
        return {
            "done": self._done,
            "releases": self._private.ledger.spent[self._mechanism],
            "counts": self._counts,
            "kept": [(kept.number, kept.images, kept.targets) for kept in self._kept],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> int:
        """Continues after the stored steps; returns their number. Their releases are not made again.

        Raises:
            PrivacyError: this process has made more releases than that.
        """
        device = self._private.device
        self._private.ledger.restore(self._private.plan[self._mechanism], state["releases"])
        self._done = int(state["done"])
        self._counts = state["counts"].to(device)
        for number, images, targets in state["kept"]:
            features = self._make_features(images.to(device), number)
            self._kept.append(Release(number, images.to(device), features, targets.to(device)))
        return self._done


def noisy_sums(private: PrivateData, mechanism: str, features: Features, count_weight: float) -> tuple[Tensor, Tensor]:
    """Noisy sums of features [classes, d] and noisy counts [classes, 1] of the records of each class; one release.

    A record contributes its features (of norm 1 at most) and `count_weight` in the row of its class: a vector of norm
    √(1 + count_weight²) at most.
    """

    def features_and_count(batch: Batch) -> Tensor:
        assert batch.images is not None
        embedded = features(batch.images.float() / 255)
        count = torch.full((len(embedded), 1), count_weight, device=embedded.device)
        return torch.cat([embedded, count], 1)

    sums = class_sums(private, mechanism, features_and_count, features.chunk)
    return sums[:, :-1], sums[:, -1:] / count_weight
