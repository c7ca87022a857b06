"""A complete method in one file: the mean image of each class, released once with noise, and pixel noise around it.

dpbench run --plugin plugin_mean.py --method mean --eps 1,10
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from dpbench import METHODS, Batch, Conditions, Method, NoisySum, Plan, PrivateData, option


@dataclass(frozen=True)
class MeanConfig:
    spread: float = option(0.2, "standard deviation of the pixels around their mean, where they lie in [-1, 1]")


@METHODS.register("mean")
class NoisyMean(Method):
    """The noisy mean image of each class, with pixel noise around it."""

    Config = MeanConfig

    @classmethod
    def plan(cls, config, spec, request) -> Plan:
        longest = math.sqrt(math.prod(spec.shape))  # the norm of an image whose pixels are all -1 or 1
        return Plan(NoisySum(name="class sums", clip=longest))

    def fit(self, private: PrivateData, run) -> None:
        classes = max(1, self.spec.n_classes)

        def contribution(batch: Batch) -> Tensor:  # [b, classes, c, h, w]: an image in its class's place, 0 elsewhere
            images = batch.images.float() / 127.5 - 1
            return one_hot(batch.class_rows, classes)[..., None, None, None] * images[:, None]

        sums = private.noisy_sum("class sums", contribution)
        self.means = sums.cpu() / (self.spec.n_train / classes)  # how large each class is would be private

    def sample(self, conditions: Conditions, run) -> Tensor:
        images = self.means[conditions.class_rows]
        images = images + self.config.spread * torch.randn(images.shape, generator=run.generator)
        return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)

    def state_dict(self) -> dict[str, Tensor]:
        return {"means": self.means}

    def load_state_dict(self, state) -> None:
        self.means = state["means"]
