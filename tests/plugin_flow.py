"""A complete method that trains a network by DP-SGD: flow matching, from noise to images of a class.

dpbench run --plugin plugin_flow.py --method flow --eps 10
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dpbench import METHODS, Batch, DPSGDSettings, Method, Plan, PrivateData, option, to_uint8, to_unit, train


@dataclass(frozen=True)
class FlowConfig(DPSGDSettings):  # which has batch, steps, clip, lr, ema ...
    sampling_steps: int = option(20, "Euler steps per image")


@METHODS.register("flow")
class Flow(Method):
    """A small flow from noise to images, trained by DP-SGD from scratch."""

    Config = FlowConfig

    def __init__(self, config, spec):
        super().__init__(config, spec)
        self.classes, self.pixels, width = max(1, spec.n_classes), spec.channels * spec.resolution**2, 256
        layers = nn.Linear(self.pixels + 1 + self.classes, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        self.network = nn.Sequential(*layers, nn.Linear(width, self.pixels))

    @classmethod
    def plan(cls, config, spec, request) -> Plan:
        return Plan(config.mechanism("train", spec))

    def velocity(self, network: nn.Module, images: Tensor, time: Tensor, labels: Tensor | None) -> Tensor:
        labels = images.new_zeros(len(images), dtype=torch.long) if labels is None else labels
        return network(torch.cat([images, time, nn.functional.one_hot(labels, self.classes)], 1))

    def fit(self, private: PrivateData, run) -> None:
        def loss(network: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:  # [b], one per record
            images = to_unit(batch.images).flatten(1)
            noise = torch.randn(images.shape, generator=generator).to(images)  # the generator is the CPU's
            time = torch.rand(len(images), 1, generator=generator).to(images)
            velocity = self.velocity(network, noise + time * (images - noise), time, batch.labels)
            return (velocity - (images - noise)).square().mean(1)

        network = self.network.to(run.device)
        optimizer = torch.optim.Adam(network.parameters(), self.config.lr)
        steps = private.dp_sgd("train", network, loss, optimizer, run.generator, **self.config.stepper_options())
        train(steps, network, optimizer, run, "train the flow (private)", ema=self.config.ema)

    @torch.inference_mode()
    def sample(self, conditions, run) -> Tensor:
        network, steps = self.network.to(run.device), self.config.sampling_steps
        labels = None if conditions.labels is None else torch.tensor(conditions.labels, device=run.device)
        images = torch.randn(conditions.count, self.pixels, generator=run.generator).to(run.device)
        for step in range(steps):
            time = images.new_full((conditions.count, 1), step / steps)
            images = images + self.velocity(network, images, time, labels) / steps
        return to_uint8(images.reshape(-1, *self.spec.shape))

    def state_dict(self) -> dict[str, Tensor]:
        return dict(self.network.state_dict())

    def load_state_dict(self, state) -> None:
        self.network.load_state_dict(dict(state))
