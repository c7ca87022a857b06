"""What of a model must stay: its layers between steps, its tensors during one."""

from __future__ import annotations

import pytest
import torch
from stepping import a_vault, run_to_the_end, start
from torch import Tensor, nn
from vaults import Images, pixels, steps, vault

from dpbench.core.errors import PrivacyError


class Slow(nn.Module):
    """A custom batch norm: no class that `check_layers` knows."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(0)


@pytest.mark.parametrize("new", [Slow, lambda: nn.BatchNorm1d(4, affine=False), nn.Identity])
def test_a_layer_that_is_swapped_in_between_steps_is_refused_before_a_record_is_read(new):
    records = Images(pixels(8))
    private = vault(records, steps(8, steps=3))
    model = nn.Sequential(nn.Linear(16, 4), nn.Tanh())
    stepper = start(private, model)
    next(stepper)
    model[1] = new()
    records.reads.clear()
    with pytest.raises(PrivacyError, match="layer '1' of the model changed"):
        next(stepper)
    model.append(nn.Tanh())
    with pytest.raises(PrivacyError, match="layer '1' of the model changed"):
        next(stepper)
    assert records.reads == []
    next(start(private, model[:1]))


class ByMode(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x - x.mean(0) if self.training else x)


def test_a_model_that_is_switched_to_train_is_checked_again():
    model = ByMode().eval()
    stepper = start(a_vault(), model)
    for _ in range(3):
        next(stepper)
    model.train()
    with pytest.raises(PrivacyError, match="mixes records"):
        next(stepper)


# Tensors of the model around a step


class Follows(nn.Module):
    """A buffer that follows the batches once it is told to."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.layer, self.how, self.follows = nn.Linear(16, 4), how, False
        self.register_buffer("memory", torch.zeros(16))
        self.frozen = nn.Parameter(torch.zeros(16), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.follows:
            mean = x.detach().mean(0)
            if self.how == "in place":
                self.memory.lerp_(mean, 0.1)
            elif self.how == "data":
                self.memory.data.lerp_(mean, 0.1)
            elif self.how == "frozen":
                self.frozen.data += mean
            elif self.how == "rebound":
                self.memory = 0.9 * self.memory + 0.1 * mean
            else:
                self.register_buffer("seen", mean)
        return self.layer(x)


@pytest.mark.parametrize(
    ("how", "name"),
    [("in place", "memory"), ("data", "memory"), ("frozen", "frozen"), ("rebound", "memory"), ("new", "seen")],
)
@pytest.mark.parametrize("at", [0, 2, 3], ids=["always", "when it is checked", "between checks"])
def test_a_buffer_that_follows_the_batches_is_refused_at_every_step(how, name, at):
    model, private = Follows(how), a_vault()
    model.follows = at == 0
    with pytest.raises(PrivacyError, match=f"changes '{name}'|keeps a tensor.*test_model_state.py"):
        run_to_the_end(start(private, model), lambda number: setattr(model, "follows", number >= at))
    assert private.ledger.spent == {"steps": at}


def test_what_is_done_to_buffers_between_steps_is_the_methods_affair():
    model = Follows("in place")
    for _ in start(a_vault(), model):
        model.memory.add_(1)
