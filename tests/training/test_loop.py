from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import nn

from dpbench.core.cache import PublicCache
from dpbench.core.checkpoints import Checkpoints
from dpbench.core.context import RunContext
from dpbench.core.errors import DpbenchError
from dpbench.core.progress import Advance, Silent
from dpbench.training import loop
from dpbench.training.loop import train
from dpbench.training.public_steps import PublicSteps


def _run(precision: str = "fp32") -> RunContext:
    return RunContext("cpu", torch.Generator().manual_seed(0), PublicCache(Path("nowhere")), precision=precision)


def _fit(**options: object) -> tuple[nn.Linear, list[torch.Tensor], list[float]]:
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    weights, rates = [], []

    def loss() -> torch.Tensor:
        weights.append(model.weight.detach().clone())
        rates.append(optimizer.param_groups[0]["lr"])
        return (model.weight - 1).square().sum()

    run = _run()
    train(PublicSteps(loss, optimizer, 40, run), model, optimizer, run, "fit", **options)
    return model, weights, rates


def test_training_reaches_the_minimum():
    model, _, _ = _fit()
    assert model.weight.item() == pytest.approx(1, abs=0.02)


def test_learning_rate_rises_then_falls_to_zero():
    _, _, rates = _fit()
    assert rates[0] < rates[2]
    assert max(rates) == pytest.approx(0.1)
    assert rates[-1] < 0.005


def test_a_constant_learning_rate_stays_at_its_peak():
    _, _, rates = _fit(schedule="constant")
    assert rates == [0.1] * 40


@pytest.mark.parametrize(
    ("warmup", "decay"), [(False, lambda done: 0.9), (True, lambda done: min(0.9, (1 + done) / (10 + done)))]
)
def test_moving_average_replaces_the_weights(warmup, decay):
    plain, weights, _ = _fit()
    after = [*weights[1:], plain.weight.detach()]  # the weights after every step
    average = after[0]
    for done, weight in enumerate(after[1:], start=1):
        average = decay(done) * average + (1 - decay(done)) * weight
    averaged = _fit(ema=0.9, ema_warmup=warmup)[0]
    torch.testing.assert_close(averaged.weight.detach(), average)
    assert abs(averaged.weight - plain.weight) > 0.001  # the averages differ enough to test


def test_frozen_weights_do_not_change():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    model[0].requires_grad_(False)
    frozen, trained = model[0].weight.clone(), model[2].weight.detach().clone()
    optimizer = torch.optim.SGD(model[2].parameters(), lr=0.1)
    images = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    run = _run()
    train(PublicSteps(lambda: model(images).square().mean(), optimizer, 5, run), model, optimizer, run, "fit", ema=0.5)
    assert torch.equal(model[0].weight, frozen)
    assert not torch.equal(model[2].weight, trained)
    assert model[1].num_batches_tracked == 5  # buffers are not averaged


def test_steps_are_counted_once():
    calls = []
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    steps = PublicSteps(lambda: (calls.append(1), parameter.sum())[1], optimizer, 7, _run())
    assert len(list(steps)) == len(calls) == len(steps) == 7


def test_losses_use_the_run_precision():
    seen = {}
    for precision in ("fp32", "bf16"):
        layer = nn.Linear(4, 4)

        def loss(layer: nn.Linear = layer, precision: str = precision) -> torch.Tensor:
            output = layer(torch.ones(2, 4))
            seen[precision] = output.dtype
            return output.sum()

        next(PublicSteps(loss, torch.optim.SGD(layer.parameters(), lr=0.1), 1, _run(precision)))
        assert layer.weight.dtype == torch.float32
    assert seen == {"fp32": torch.float32, "bf16": torch.bfloat16}


class Shown(Silent):
    """Progress that keeps how many steps were done at every note."""

    def __init__(self) -> None:
        self.notes: list[tuple[int, str]] = []

    @contextmanager
    def phase(self, name: str, total: int) -> Iterator[Advance]:
        done = 0

        def advance(steps: int = 1, note: str = "") -> None:
            nonlocal done
            done += steps
            if note:
                self.notes.append((done, note))

        yield advance


@pytest.mark.parametrize(
    ("seconds", "shown"), [(3600.0, [1, 6]), (0.0, [1, 2, 3, 4, 5, 6, 6])], ids=["rarely", "at every step"]
)
def test_the_last_note_is_that_of_the_last_step_however_seldom_notes_are_due(monkeypatch, seconds, shown):
    monkeypatch.setattr(loop, "NOTE_SECONDS", seconds)
    model, run = nn.Linear(1, 1), _run()
    run.progress = Shown()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    taken = []

    def loss() -> torch.Tensor:
        taken.append(1)
        return model.weight.square().sum()

    train(PublicSteps(loss, optimizer, 6, run), model, optimizer, run, "fit", note=lambda: f"step {len(taken)}")
    assert run.progress.notes == [(step, f"step {step}") for step in shown]


class Private:
    """Steps whose items are losses, which no stepper of the vault hands out."""

    key = "private"

    def __init__(self) -> None:
        self.done = 0
        self.last_loss = torch.tensor(0.5)

    def __len__(self) -> int:
        return 2

    def __next__(self) -> torch.Tensor:
        if self.done == len(self):
            raise StopIteration
        self.done += 1
        return self.last_loss

    def state_dict(self):
        return {"done": self.done}


@pytest.mark.parametrize(("shows", "noted"), [(True, "ε 1 of 2 · loss 4"), (False, "ε 1 of 2")])
def test_losses_of_public_steps_are_noted_where_they_may_be_and_private_ones_never(monkeypatch, shows, noted):
    monkeypatch.setattr(loop, "NOTE_SECONDS", 0.0)
    model, run = nn.Linear(1, 1, bias=False), _run()
    nn.init.constant_(model.weight, 2.0)
    run.progress, run.shows_losses = Shown(), shows
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    public = PublicSteps(lambda: model.weight.square().sum(), optimizer, 2, run)
    train(public, model, optimizer, run, "public", note=lambda: "ε 1 of 2")
    assert {note for _, note in run.progress.notes} == {noted}
    run.progress = Shown()
    train(Private(), model, optimizer, run, "private", note=lambda: "ε 1 of 2")
    assert {note for _, note in run.progress.notes} == {"ε 1 of 2"}


@pytest.mark.parametrize("seconds", [0.0, 3600.0], ids=["noticed at once", "noticed at the end"])
def test_training_that_diverges_ends_in_an_error_and_is_not_stored(tmp_path, monkeypatch, seconds):
    monkeypatch.setattr(loop, "NOTE_SECONDS", seconds)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", seconds)
    model, run = nn.Sequential(nn.Linear(1, 1)), _run()
    run.checkpoints = Checkpoints(tmp_path, code="code")
    optimizer = torch.optim.SGD(model.parameters(), lr=1e30)
    steps = PublicSteps(lambda: model(torch.ones(1, 1)).square().sum(), optimizer, 6, run)
    with pytest.raises(
        DpbenchError, match=r"diverged: 0.weight is not finite after \d of 6 steps; try a smaller learn"
    ):
        train(steps, model, optimizer, run, "fit")
    for path in tmp_path.rglob("*.pt"):
        stored = torch.load(path, weights_only=True)
        assert stored["parts"][0]["stepper"]["done"] < 6
        assert all(value.isfinite().all() for value in stored["parts"][0]["model"].values())
