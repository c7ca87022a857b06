"""Proofs of a loss as training goes on: what passes at the first weights and is a mistake all the same."""

from __future__ import annotations

import pytest
import torch
from stepping import BATCHED, autograd_sum, flat, linear, squares, start, weights
from torch import Tensor, nn
from vaults import Images, Untouchable, pixels, steps, vault

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.loss_checks import LossChecks, moved_weights
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.noise_key import NoiseKey
from dpbench.privacy.private_data import ENGINES, PrivateData
from dpbench.privacy.probes import Probes
from dpbench.privacy.slots import most_sampled


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


class Changing:
    """A loss that is `squares` up to a step, and another one from there on."""

    def __init__(self, later) -> None:
        self.later, self.changed = later, False

    def __call__(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        return (self.later if self.changed else squares)(model, batch, generator)


def centred(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    x = flat(batch)
    return (model(x - x.mean(0)) ** 2).sum(1)


def weighted(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    return squares(model, batch, generator) * torch.linspace(0, 1, len(batch))


def skipping(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    losses = squares(model, batch, generator)
    return losses if losses.max() < 1e6 else 0 * losses


def a_vault(n: int = 12, count: int = 20, records: type[Images] = Images, **settings) -> PrivateData:
    return vault(records(pixels(n)), steps(n, steps=count, **settings))


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
        checks.prove(12)


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


def run_to_the_end(stepper, after) -> None:
    """Takes all steps, and calls `after(number)` after each."""
    for receipt in stepper:
        after(receipt.number)


@pytest.mark.parametrize(
    ("later", "match"),
    [(centred, "mixes records"), (weighted, "place in the batch"), (skipping, "reads a value")],
    ids=["mixes", "places", "reads"],
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


def test_a_model_that_is_switched_to_train_is_proved_again():
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
@pytest.mark.parametrize("at", [0, 2, 3], ids=["always", "when it is proved", "between proofs"])
def test_a_buffer_that_follows_the_batches_is_refused_at_every_step(how, name, at):
    model, private = Follows(how), a_vault()
    model.follows = at == 0
    with pytest.raises(PrivacyError, match=f"changes '{name}'|keeps a tensor.*test_loss_checks.py"):
        run_to_the_end(start(private, model), lambda number: setattr(model, "follows", number >= at))
    assert private.ledger.spent == {"steps": at}


def test_what_is_done_to_buffers_between_steps_is_the_methods_affair():
    model = Follows("in place")
    for _ in start(a_vault(), model):
        model.memory.add_(1)


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
    monkeypatch.setattr(LossChecks, "prove", lambda self, records: setattr(self, "order_free", True))
    monkeypatch.setattr(LossChecks, "before_step", lambda *_: None)
    assert all(torch.equal(a, b) for a, b in zip(checked, run(), strict=True))


# Slots of a step


def sizes_of_steps(loss, count: int = 30) -> list[int]:
    """Rows of padding and of records that each step gives to the loss."""
    rows = []

    class Spy(Changing):
        def __call__(self, *args):
            rows.append(len(args[1]))
            return super().__call__(*args)

    n = 200
    stepper = start(a_vault(n, count, expected_batch=20), linear(), Spy(squares), micro_batch=8)
    stepper._checks.order_free = loss is not weighted
    stepper._checks.before_step = lambda *_: None
    totals = []
    for _ in stepper:
        totals.append(sum(rows))
        rows.clear()
    return totals[1:]


def test_a_loss_that_depends_on_places_gets_the_same_number_of_slots_in_every_step():
    most = -(-most_sampled(200, 0.1) // 8) * 8
    assert len(set(sizes_of_steps(squares))) > 2
    fixed = sizes_of_steps(weighted)
    assert max(fixed) <= most
    assert sum(fixed) / len(fixed) > most / 2  # batches of padding alone are left out


def test_places_are_drawn_anew_for_every_step():
    places = []

    def by_place(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        places.append(batch.images[:, 0, 0, 0].detach().clone()) if watching else None
        return weighted(model, batch, generator)

    watching = False
    images = pixels(8)
    images[:, 0, 0, 0] = torch.arange(8)
    stepper = start(vault(Images(images), steps(8, steps=7)), linear(), by_place, micro_batch=8)
    stepper._checks.before_step = lambda *_: None
    watching = True
    for _ in stepper:
        pass
    assert all(sorted(row.tolist()) == list(range(8)) for row in places)
    assert len({tuple(row.tolist()) for row in places}) > 5


def test_placed_records_are_all_summed_once_with_fixed_slots():
    images, model = pixels(30), linear()
    before = weights(model)
    stepper = start(vault(Images(images), steps(30)), model, micro_batch=7)
    stepper._checks.order_free = False
    next(stepper)
    torch.testing.assert_close((before - weights(model)) * 30, autograd_sum(images, 1.0), rtol=1e-3, atol=1e-4)


# Losses that are not finite


def test_losses_of_made_up_records_that_are_not_finite_are_a_warning():
    with pytest.warns(UserWarning, match=r"the loss of 'steps' is not finite for 100% of made-up records"):
        start(a_vault(), linear(), lambda m, b, g: squares(m, b, g) + float("inf"))
