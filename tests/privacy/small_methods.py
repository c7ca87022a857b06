"""What the plugins in `mistakes/` start from: two small methods without a mistake, one for each kind of query."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dpbench import DPSGD, Batch, Conditions, Method, NoisySum, Plan, PrivateData
from dpbench.core.specs import CONDITIONS


def pixels(batch: Batch) -> Tensor:
    """Images in [-1, 1]: float [b, c, h, w]."""
    assert batch.images is not None
    return batch.images.float() / 127.5 - 1


def to_images(values: Tensor) -> Tensor:
    """The inverse of `pixels`: uint8."""
    return ((values.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


class Denoiser(Method):
    """A small network learns by DP-SGD to take noise off images; a sample is what it makes of noise alone."""

    conditions = CONDITIONS

    @classmethod
    def plan(cls, config, spec, request) -> Plan:
        return Plan(DPSGD(name="steps", clip=1.0, n=spec.n_train, expected_batch=20, steps=6))

    def network(self) -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1))

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        images = pixels(batch)
        noise = torch.randn(images.shape, generator=generator)
        return (model(images + noise) - images).square().mean((1, 2, 3))

    def optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.model.parameters(), lr=0.1)

    def fit(self, private: PrivateData, run) -> None:
        self.model = self.network()
        for _ in private.dp_sgd("steps", self.model, self.loss, self.optimizer(), run.generator):
            pass

    @torch.no_grad()
    def sample(self, conditions: Conditions, run) -> Tensor:
        return to_images(self.model(torch.randn(conditions.count, *self.spec.shape, generator=run.generator)))

    def state_dict(self) -> dict[str, Tensor]:
        return self.model.state_dict()


class MeanImage(Method):
    """The noisy mean image, with pixel noise around it."""

    conditions = CONDITIONS

    @classmethod
    def plan(cls, config, spec, request) -> Plan:
        return Plan(NoisySum(name="sum", clip=float(spec.resolution)))

    def contribution(self, batch: Batch) -> Tensor:
        return pixels(batch)

    def fit(self, private: PrivateData, run) -> None:
        self.mean = private.noisy_sum("sum", self.contribution) / self.spec.n_train

    def sample(self, conditions: Conditions, run) -> Tensor:
        noise = torch.randn(conditions.count, *self.spec.shape, generator=run.generator)
        return to_images(self.mean + 0.2 * noise)

    def state_dict(self) -> dict[str, Tensor]:
        return {"mean": self.mean}
