"""Thumbnails of each class as a Gaussian distribution, from one noisy sum, enlarged."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate, one_hot

from dpbench import METHODS, Batch, Conditions, Method, NoisySum, Plan, PrivateData, option


@dataclass(frozen=True)
class GaussianConfig:
    side: int = option(6, "height and width of a thumbnail in pixels", low=1)


@METHODS.register("gaussian")
class Gaussian(Method):
    """Gaussian thumbnails of each class, enlarged."""

    Config = GaussianConfig

    @classmethod
    def plan(cls, config, spec, request) -> Plan:
        return Plan(NoisySum(name="moments", clip=3**0.5))

    def fit(self, private: PrivateData, run) -> None:
        classes = max(1, self.spec.n_classes)

        def moments(batch: Batch) -> Tensor:
            """[b, classes, 1 + d + d²]: 1, x and x xᵀ in the row of the record's class, with |x| at most 1."""
            thumbnails = adaptive_avg_pool2d(batch.images.float() / 127.5 - 1, self.config.side).flatten(1)
            x = thumbnails / thumbnails.shape[1] ** 0.5
            one = torch.ones(len(x), 1, device=x.device)
            record = torch.cat([one, x, (x[:, :, None] * x[:, None, :]).flatten(1)], 1)
            return one_hot(batch.class_rows, classes)[:, :, None] * record[:, None, :]

        sums = private.noisy_sum("moments", moments).cpu().double()
        count, d = sums[:, :1].clamp(min=1), self.spec.channels * self.config.side**2
        mean, second = sums[:, 1 : d + 1] / count, (sums[:, d + 1 :] / count).unflatten(1, (d, d))
        covariance = (second + second.mT) / 2 - mean[:, :, None] * mean[:, None, :]
        variances, directions = torch.linalg.eigh(covariance)  # noise makes some variances negative
        self.mean, self.root = mean.float(), (directions * variances.clamp(min=0).sqrt()[:, None, :]).float()

    def sample(self, conditions: Conditions, run) -> Tensor:
        rows = conditions.class_rows
        normal = torch.randn(len(rows), self.mean.shape[1], 1, generator=run.generator)
        x = self.mean[rows] + (self.root[rows] @ normal)[:, :, 0]
        thumbnails = (x * x.shape[1] ** 0.5).unflatten(1, (self.spec.channels, self.config.side, self.config.side))
        images = interpolate(thumbnails, self.spec.resolution, mode="bilinear")
        return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)

    def state_dict(self) -> dict[str, Tensor]:
        return {"mean": self.mean, "root": self.root}

    def load_state_dict(self, state) -> None:
        self.mean, self.root = state["mean"], state["root"]
