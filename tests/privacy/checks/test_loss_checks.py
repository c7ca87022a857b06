"""Proofs of a loss as training goes on: what passes at the first weights and is a mistake all the same."""

from __future__ import annotations

import pytest
import torch
from stepping import BATCHED, Changing, a_vault, flat, linear, run_to_the_end, squares, start, weighted, weights
from torch import Tensor, nn
from vaults import Images, Untouchable, pixels, steps, vault

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.checks.loss_checks import LossChecks, moved_weights
from dpbench.privacy.checks.probes import Probes
from dpbench.privacy.gradients.engines import ENGINES
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.noise_key import NoiseKey


class Gated(nn.Module):
    """What stands behind the gate is multiplied with zero at first, and so is its gradient, as in a DiT."""

    def __init__(self, behind) -> None:
        super().__init__()
        self.layer, self.gate, self.head, self.behind = nn.Linear(16, 4), nn.Linear(4, 4), nn.Linear(4, 4), behind
        for parameter in (*self.gate.parameters(), *self.head.parameters()):
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return 1 + self.head(y + self.gate(y) * self.behind(y))


def centred(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    x = flat(batch)
    return (model(x - x.mean(0)) ** 2).sum(1)


def skipping(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    losses = squares(model, batch, generator)
    return losses if losses.max() < 1e6 else 0 * losses


def mean_behind_a_gate() -> nn.Module:
    return Gated(lambda y: y - y.mean(0))


@pytest.mark.parametrize("engine", BATCHED)
def test_batch_statistics_behind_a_gate_that_starts_at_zero_are_refused(engine):
    with pytest.raises(PrivacyError, match="mixes records"):
        start(a_vault(records=Untouchable), mean_behind_a_gate(), engine=engine)


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_alone_shows_them_at_moved_weights(seed):
    torch.manual_seed(seed)
    model = mean_behind_a_gate()
    probes = Probes.of(Images(pixels(12)).spec)
    checks = LossChecks(model, squares, probes, 1, torch.Generator(), "the loss", 1e-3)
    checks.look()  # sees nothing at the first weights
    with pytest.raises(PrivacyError, match="the loss mixes records"):
        checks.check(12)


class Placed(nn.Module):
    """Position embeddings broadcast over the batch, behind a gate: not the losses, but the gradients mix."""

    def __init__(self) -> None:
        super().__init__()
        self.place, self.layer, self.head = nn.Embedding(4, 4), nn.Linear(16, 16), nn.Linear(16, 2)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(x).unflatten(1, (4, 4)) + self.place(torch.arange(4))
        return 1 + self.head(x.flatten(1))


@pytest.mark.parametrize("engine", BATCHED)
def test_gradients_that_mix_behind_a_gate_that_starts_at_zero_are_refused(engine):
    with pytest.raises(PrivacyError, match=r"mixes records|give every layer the whole batch"):
        start(a_vault(records=Untouchable), Placed(), engine=engine)


def test_moved_weights_move_every_trained_weight_and_come_back_bit_for_bit():
    model = Gated(torch.tanh)
    model.layer.bias.requires_grad_(False)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    with moved_weights(model):
        for name, p in model.named_parameters():
            assert (p != before[name]).all() == p.requires_grad
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_a_read_that_starts_after_a_warm_up_is_found_at_once():
    loss, private = Changing(skipping), a_vault()
    stepper = start(private, linear(), loss, torch.optim.SGD([torch.zeros(1)]))
    with pytest.raises(PrivacyError, match="reads a value"):
        run_to_the_end(stepper, lambda number: setattr(loss, "changed", number >= 5))
    assert private.ledger.spent == {"steps": 5}


@pytest.mark.parametrize(
    ("later", "match"), [(centred, "mixes records"), (weighted, "place in the batch")], ids=["mixes", "places"]
)
@pytest.mark.parametrize(("at", "found"), [(1, 1), (3, 4), (5, 8), (17, 19)])
def test_what_starts_after_a_warm_up_is_found_after_the_next_power_of_two_or_before_the_last_step(
    later, match, at, found
):
    loss, private = Changing(later), a_vault()
    stepper = start(private, linear(), loss, torch.optim.SGD([torch.zeros(1)]))
    with pytest.raises(PrivacyError, match=match):
        run_to_the_end(stepper, lambda number: setattr(loss, "changed", number >= at))
    assert private.ledger.spent == {"steps": found}


def test_a_loss_that_depends_on_places_from_the_start_is_accepted():
    assert len(list(start(a_vault(), linear(), weighted, torch.optim.SGD([torch.zeros(1)])))) == 20


# The checks leave no trace


def random_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    x = flat(batch) + torch.randn(len(batch), 16, generator=generator)
    return (nn.functional.dropout(model(x)) ** 2).sum(1)


@pytest.mark.parametrize("engine", ENGINES)
def test_generators_and_weights_are_the_same_with_and_without_the_checks(engine, monkeypatch):
    def run() -> tuple[Tensor, Tensor, Tensor]:
        torch.manual_seed(1)
        generator, model = torch.Generator().manual_seed(0), linear()
        mechanism = steps(12, expected_batch=6, steps=5, noise_multiplier=1.0)
        private = vault(Images(pixels(12)), mechanism, noise=NoiseSource(key=NoiseKey.from_seed(1)))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in private.dp_sgd("steps", model, random_loss, optimizer, generator, engine=engine, micro_batch=4):
            pass
        return weights(model), generator.get_state(), torch.get_rng_state()

    checked = run()
    monkeypatch.setattr(LossChecks, "look", lambda self: None)
    monkeypatch.setattr(LossChecks, "check", lambda self, records: setattr(self, "order_free", True))
    monkeypatch.setattr(LossChecks, "before_step", lambda *_: None)
    assert all(torch.equal(a, b) for a, b in zip(checked, run(), strict=True))


# Losses that are not finite


def test_losses_of_synthetic_records_that_are_not_finite_are_a_warning():
    with pytest.warns(UserWarning, match=r"the loss of 'steps' is not finite for 100% of synthetic probe records"):
        start(a_vault(), linear(), lambda m, b, g: squares(m, b, g) + float("inf"))
