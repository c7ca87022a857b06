"""Two models trained in turns: a private critic with a public generator, and an encoder with a prior, both private."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from vaults import Images, pixels, planned, steps

from dpbench.core.cache import PublicCache
from dpbench.core.checkpoints import Checkpoints
from dpbench.core.context import RunContext
from dpbench.core.specs import Batch
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.noise_key import NoiseKey
from dpbench.privacy.vault import Vault
from dpbench.training import loop
from dpbench.training.loop import train_together
from dpbench.training.part import Part
from dpbench.training.public_steps import PublicSteps

CRITIC = steps(20, name="critic", expected_batch=10, noise_multiplier=1.0, steps=6)
PRIOR = steps(20, name="prior", expected_batch=10, noise_multiplier=1.0, steps=3)


def flat(batch: Batch) -> Tensor:
    return batch.images.float().flatten(1) / 255


class Attempt:
    """One attempt at training two models, stopped before turn `stop`."""

    def __init__(self, folder: Path, stop: int | None = None):
        torch.manual_seed(0)
        path, generator = folder / "noise.key", torch.Generator().manual_seed(0)
        key = NoiseKey.read(path, "code") or NoiseKey.from_seed(0)
        key.store(path, "code")
        self.run = RunContext("cpu", generator, PublicCache(Path("nowhere")))
        self.run.checkpoints = Checkpoints(folder / "checkpoints", code="code")
        records = Images(pixels(20))
        self.ledger = Ledger(planned(CRITIC, PRIOR))
        self.private = Vault(records, records.spec, self.ledger, NoiseSource(key=key), checkpoints=self.run.checkpoints)
        self.first, self.second = nn.Linear(16, 4), nn.Linear(4, 16)
        self.order: list[str] = []
        self.stop = stop

    def optimizer(self, model: nn.Module, name: str) -> torch.optim.Optimizer:
        def before_step(*_: object) -> None:
            if len(self.order) + 1 == self.stop:
                raise KeyboardInterrupt
            self.order.append(name)

        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        optimizer.register_step_pre_hook(before_step)
        return optimizer

    def weights(self) -> Tensor:
        models = nn.ModuleList([self.first, self.second])
        return nn.utils.parameters_to_vector([p.detach() for p in models.parameters()])


class Adversarial(Attempt):
    """A critic learns privately; its generator, which sees no records, between its steps."""

    def fit(self) -> Adversarial:
        def made(count: int, generator: torch.Generator) -> Tensor:
            return self.second(torch.randn(count, 4, generator=generator))

        def critic_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
            return (model(made(len(batch), generator).detach()) - model(flat(batch))).sum(1)

        def generator_loss() -> Tensor:
            return -self.first(made(8, self.run.generator)).sum(1).mean()

        one, two = self.optimizer(self.first, "critic"), self.optimizer(self.second, "generator")
        private = self.private.dp_sgd("critic", self.first, critic_loss, one, self.run.generator)
        parts = [
            Part(private, self.first, one),
            Part(PublicSteps(generator_loss, two, 3, self.run), self.second, two, ema=0.5),
        ]
        train_together(parts, self.run, "adversarial")
        return self


class Encoded(Attempt):
    """An encoder and a prior over its codes, both private, each with its own mechanism and moving average."""

    def fit(self) -> Encoded:
        def decoded(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
            return (model(flat(batch)) + 0.1 * torch.randn(len(batch), 4, generator=generator)).square().sum(1)

        def prior(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
            with torch.no_grad():
                codes = self.first(flat(batch))
            return model(codes).square().sum(1)

        parts = []
        for name, model, loss, ema in (("critic", self.first, decoded, 0.5), ("prior", self.second, prior, 0.8)):
            optimizer = self.optimizer(model, name)
            private = self.private.dp_sgd(name, model, loss, optimizer, self.run.generator)
            parts.append(Part(private, model, optimizer, ema=ema))
        train_together(parts, self.run, "encoder and prior")
        self.ledger.check_complete()
        return self


def test_steps_are_spread_evenly(tmp_path):
    assert Adversarial(tmp_path).fit().order == ["critic", "critic", "generator"] * 3


@pytest.mark.parametrize("kind", [Adversarial, Encoded])
@pytest.mark.parametrize("stop", [1, 3, 4, 8, 9])
@pytest.mark.parametrize("seconds", [0.0, 1e9], ids=["stored after every step", "never stored"])
def test_an_interrupted_training_of_two_ends_in_the_weights_of_an_uninterrupted_one(
    tmp_path, monkeypatch, kind, stop, seconds
):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", seconds)
    whole = kind(tmp_path / "whole").fit()
    with pytest.raises(KeyboardInterrupt):
        kind(tmp_path / "parts", stop).fit()
    rest = kind(tmp_path / "parts").fit()
    assert torch.equal(rest.weights(), whole.weights())
    assert len(rest.order) == (9 if seconds else 10 - stop)
    assert rest.ledger.spent["critic"] == CRITIC.steps


def test_finished_training_is_taken_up_and_hooks_are_gone(tmp_path):
    first = Encoded(tmp_path).fit()
    again = Encoded(tmp_path).fit()
    assert again.order == []
    assert torch.equal(again.weights(), first.weights())
    assert not any(model._forward_hooks for model in (again.first, again.second))


def test_each_model_has_its_own_moving_average(tmp_path, monkeypatch):
    """The critic keeps its last weights; the generator has the average over its three steps."""
    seen: list[Tensor] = []
    step = PublicSteps.__next__

    def watched(steps: PublicSteps) -> Tensor:
        loss = step(steps)
        seen.append(attempt.second.weight.detach().clone())
        return loss

    monkeypatch.setattr(PublicSteps, "__next__", watched)
    attempt = Adversarial(tmp_path)
    attempt.fit()
    average = seen[0]
    for weight in seen[1:]:
        average = 0.5 * average + 0.5 * weight
    torch.testing.assert_close(attempt.second.weight.detach(), average)
