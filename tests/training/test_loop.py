from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from dpbench.core.cache import PublicCache
from dpbench.core.context import RunContext
from dpbench.training.loop import PublicSteps, train


def _run(precision: str = "fp32") -> RunContext:
    return RunContext("cpu", torch.Generator().manual_seed(0), PublicCache(Path("nowhere")), precision=precision)


def _fit(ema: float | None = None) -> tuple[nn.Linear, list[torch.Tensor], list[float]]:
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    weights, rates = [], []

    def loss() -> torch.Tensor:
        weights.append(model.weight.detach().clone())
        rates.append(optimizer.param_groups[0]["lr"])
        return (model.weight - 1).square().sum()

    run = _run()
    train(PublicSteps(loss, optimizer, 40, run), model, optimizer, run, "fit", ema=ema)
    return model, weights, rates


def test_training_reaches_the_minimum():
    model, _, _ = _fit()
    assert model.weight.item() == pytest.approx(1, abs=0.02)


def test_the_rate_rises_then_falls_to_zero():
    _, _, rates = _fit()
    assert rates[0] < rates[2]
    assert max(rates) == pytest.approx(0.1)
    assert rates[-1] < 0.005


def test_the_moving_average_replaces_the_weights():
    plain, averaged = _fit()[0], _fit(ema=0.99)[0]
    assert averaged.weight.item() < plain.weight.item() - 0.1


def test_steps_are_counted_once():
    calls = []
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    steps = PublicSteps(lambda: (calls.append(1), parameter.sum())[1], optimizer, 7, _run())
    assert len(list(steps)) == len(calls) == len(steps) == 7


def test_losses_run_in_the_precision_of_the_run():
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
