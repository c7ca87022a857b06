"""The population of Private Evolution: candidates of each class, their public generator, and their next generation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dpbench.core.context import RunContext
from dpbench.core.public_generator import Candidates, PublicGenerator
from dpbench.core.specs import Conditions
from dpbench.core.state_parts import joined, part_of
from dpbench.methods.cores.votes.nearest_votes import Embed

CHUNK = 500
"""Candidates embedded at a time."""


class Population:
    """Equally many candidates of each class, computed from public data and released votes.

    Args:
        generator: makes and varies candidates.
        classes: number of classes; 1 for data without classes.
        size: candidates per class.

    Attributes:
        candidates: candidates of all classes, class 0 first.
        weights: how often each candidate is drawn, float [classes, size].
    """

    def __init__(self, generator: PublicGenerator[Any], classes: int, size: int):
        self.generator = generator
        self.candidates: Candidates | None = None
        self.weights = torch.ones(classes, size)

    @property
    def size(self) -> int:
        """Candidates per class."""
        return self.weights.shape[1]

    def start(self, run: RunContext) -> None:
        """Random candidates, equally likely."""
        self.candidates = self.generator.random(self.weights.numel(), run)
        self.weights = torch.ones_like(self.weights)

    def embeddings(self, embed: Embed, lookahead: int, degree: float, run: RunContext) -> Tensor:
        """The points that records vote for: [classes, size, d].

        Args:
            embed: the embedding.
            lookahead: variations whose mean embedding represents a candidate; 0: the embedding of the candidate itself.
            degree: degree of these variations.
            run: device and generator.
        """
        known = self._known()
        if lookahead:
            varied = (self.generator.vary(known, degree, run) for _ in range(lookahead))
            points = torch.stack([_embedded(embed, v.images, run) for v in varied]).mean(0)
        else:
            points = _embedded(embed, known.images, run)
        return points.unflatten(0, self.weights.shape)

    def evolve(self, degree: float, keep: bool, run: RunContext) -> None:
        """The next generation: variations of candidates that are drawn by weight, with replacement.

        With `keep`, the first half of each class consists of the drawn candidates themselves.
        """
        places = torch.arange(self.weights.numel())
        parents = self._drawn(places // self.size, run)
        varied = self.generator.vary(parents, degree, run)
        stays = places % self.size < (self.size // 2 if keep else 0)
        self.candidates = Candidates(
            torch.where(stays[:, None, None, None], parents.images, varied.images),
            torch.where(stays[:, None], parents.origins, varied.origins),
        )
        self.weights = torch.ones_like(self.weights)

    def sample(self, conditions: Conditions, degree: float, run: RunContext) -> Tensor:
        """A variation of one drawn candidate per condition: uint8 [n, c, h, w]."""
        return self.generator.vary(self._drawn(conditions.class_rows, run), degree, run).images

    def state_dict(self) -> dict[str, Tensor]:
        """Candidates, weights, and the generator's state."""
        known = {} if self.candidates is None else self.candidates._asdict()
        return {**known, "weights": self.weights} | joined({"generator": self.generator.state_dict()})

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores `state_dict()`."""
        self.candidates = Candidates(state["images"], state["origins"])
        self.weights = state["weights"]
        self.generator.load_state_dict(part_of(state, "generator"))

    def _drawn(self, labels: Tensor, run: RunContext) -> Candidates:
        """A candidate of each class in `labels`, int64 [n], drawn by weight with replacement."""
        within = torch.empty_like(labels)
        for label, weights in enumerate(self.weights):
            if count := int((labels == label).sum()):
                within[labels == label] = torch.multinomial(weights, count, replacement=True, generator=run.generator)
        return self._known().select(labels * self.size + within)

    def _known(self) -> Candidates:
        assert self.candidates is not None, "start comes first"
        return self.candidates


def _embedded(embed: Embed, images: Tensor, run: RunContext) -> Tensor:
    with torch.no_grad():
        return torch.cat([embed(part.to(run.device)).cpu() for part in images.split(CHUNK)])
