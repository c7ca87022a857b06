"""A tiny training that counts its steps, for tests of interruptions."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from dpbench.core.cache import PublicCache
from dpbench.core.checkpoints import Checkpoints
from dpbench.core.context import RunContext
from dpbench.training.loop import train
from dpbench.training.public_steps import PublicSteps

STEPS = 20


class Counted:
    """A tiny training with dropout, noise, Adam and a moving average, stopped before step `stop`."""

    def __init__(
        self,
        folder: Path | None,
        stop: int | None = None,
        name: str = "fit",
        seed: int = 0,
        checkpoints: Checkpoints | None = None,
    ):
        torch.manual_seed(seed)
        self.model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.calls = 0
        self.stop = stop
        generator = torch.Generator().manual_seed(seed)
        self.run = RunContext("cpu", generator, PublicCache(Path("nowhere")))
        self.run.checkpoints = checkpoints or Checkpoints(folder, code="code")
        self.train(name)

    def loss(self) -> Tensor:
        self.calls += 1
        if self.calls == self.stop:
            raise KeyboardInterrupt
        x = torch.randn(16, 4, generator=self.run.generator)
        return (self.model(x) - x.sum(1, keepdim=True)).square().mean()

    def train(self, name: str) -> None:
        optimizer = torch.optim.Adam(self.model.parameters(), lr=0.05)
        steps = PublicSteps(self.loss, optimizer, STEPS, self.run)
        train(steps, self.model, optimizer, self.run, name, ema=0.8)

    def weights(self) -> Tensor:
        return nn.utils.parameters_to_vector([p.detach() for p in self.model.parameters()])
