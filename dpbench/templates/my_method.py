"""my-method: the noisy mean image of each class, and pixel noise around it. Replace it with your idea."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from dpbench import METHODS, Batch, Conditions, Method, NoisySum, Plan, PrivateData, option


@dataclass(frozen=True)
class MyMethodConfig:
    """Settings of my-method; `--set spread=0.1` changes one."""

    spread: float = option(0.2, "standard deviation of the pixels around their mean, where they lie in [-1, 1]", low=0)


@METHODS.register("my-method")
class MyMethod(Method):
    """The noisy mean image of each class, with pixel noise around it."""

    Config = MyMethodConfig

    @classmethod
    def plan(cls, config, spec, request) -> Plan:
        """Plans one release, a sum. dpbench calibrates its noise to the budget, and refuses every other query."""
        longest = math.sqrt(math.prod(spec.shape))  # the norm of an image whose pixels are all -1 or 1
        return Plan(NoisySum(name="class sums", clip=longest))

    def fit(self, private: PrivateData, run) -> None:
        """Learns from the private images, only through the planned queries."""
        classes = max(1, self.spec.n_classes)

        def contribution(batch: Batch) -> Tensor:
            """What each record adds, [b, classes, c, h, w]: its image at the index of its class, 0 elsewhere."""
            images = batch.images.float() / 127.5 - 1
            return one_hot(batch.class_rows, classes)[..., None, None, None] * images[:, None]

        sums = private.noisy_sum("class sums", contribution)
        self.means = sums.cpu() / (self.spec.n_train / classes)  # the true class sizes are private

    def sample(self, conditions: Conditions, run) -> Tensor:
        """One image per condition: uint8 [n, c, h, w]."""
        images = self.means[conditions.class_rows]
        images = images + self.config.spread * torch.randn(images.shape, generator=run.generator)
        return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)

    def state_dict(self) -> dict[str, Tensor]:
        """All that `fit` learned."""
        return {"means": self.means}

    def load_state_dict(self, state) -> None:
        """Restores `state_dict()`."""
        self.means = state["means"]
