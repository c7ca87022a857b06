import pytest
import torch

from dpbench.core.cache import PublicCache
from dpbench.core.context import RunContext
from dpbench.training.loop import train
from dpbench.training.sharpness import SharpnessAwareSteps


@pytest.fixture
def run(tmp_path) -> RunContext:
    return RunContext("cpu", torch.Generator().manual_seed(0), PublicCache(tmp_path))


def test_a_step_follows_the_gradient_at_the_worst_weights_nearby(run):
    """By hand for w² / 2: gradient 2 at w = 2, worst weights 2 + 0.5, so the step is 0.1 · 2.5."""
    layer = torch.nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(2)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    loss = next(SharpnessAwareSteps(lambda: layer.weight.square().sum() / 2, optimizer, 1, run, radius=0.5))
    assert layer.weight.item() == pytest.approx(2 - 0.1 * 2.5)
    assert loss.item() == pytest.approx(2.5**2 / 2)


def test_the_radius_is_the_norm_over_all_weights(run):
    """Gradient (3, 4) of norm 5, so that a radius of 1 moves the weights by (0.6, 0.8)."""
    first, second = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    seen = []

    def loss() -> torch.Tensor:
        seen.append((first.item(), second.item()))
        return (3 * first + 4 * second).sum()

    next(SharpnessAwareSteps(loss, torch.optim.SGD([first, second], lr=1.0), 1, run, radius=1.0))
    assert seen == [(0, 0), pytest.approx((0.6, 0.8))]
    assert (first.item(), second.item()) == (-3, -4)


def test_both_gradients_are_of_the_same_batch(run):
    weight, drawn = torch.nn.Parameter(torch.ones(1)), []

    def loss() -> torch.Tensor:
        drawn.append(torch.rand(1, generator=run.generator).item())
        return weight.sum() * drawn[-1]

    optimizer = torch.optim.SGD([weight], lr=0.1)
    train(
        SharpnessAwareSteps(loss, optimizer, 3, run, radius=0.1), torch.nn.ParameterList([weight]), optimizer, run, ""
    )
    assert drawn[0::2] == drawn[1::2]
    assert len(set(drawn)) == 3


def test_the_radius_distinguishes_checkpoints(run):
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    keys = [SharpnessAwareSteps(weight.sum, optimizer, 3, run, radius).key for radius in (0.1, 0.2)]
    assert keys[0] != keys[1]
