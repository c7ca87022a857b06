"""A method that keeps every promise: the noisy mean image."""

from __future__ import annotations

import torch
from torch import Tensor

from dpbench import Method, NoisySum, Plan


class Sound(Method):
    """The noisy mean image."""

    track = "images"

    @classmethod
    def plan(cls, config, spec, request) -> Plan:
        return Plan(NoisySum(name="mean", clip=float(spec.resolution)))

    def prepare(self, public, run) -> None:
        self.mean = public.batch(range(10)).images.float().mean(0)

    def fit(self, private, run) -> None:
        total = private.noisy_sum("mean", lambda batch: batch.images.float() / 255)
        self.mean = 255 * total / private.spec.n_train

    def sample(self, conditions, run) -> Tensor:
        noise = torch.randn(conditions.count, *self.spec.shape, generator=run.generator)
        return (self.mean + 20 * noise).clamp(0, 255).to(torch.uint8)

    def state_dict(self) -> dict[str, Tensor]:
        return {"mean": self.mean}

    def load_state_dict(self, state) -> None:
        self.mean = state["mean"]
