"""DP-SGD: which models, losses and plans it refuses, and which it accepts."""

from __future__ import annotations

import math

import pytest
import torch
from stepping import BATCHED, a_vault, autograd_sum, flat, linear, move, squares, start, weights
from torch import Tensor, nn
from vaults import Images, Untouchable, a_sum, pixels, steps, vault

from dpbench.core.errors import PrivacyError, UnknownName
from dpbench.core.specs import Batch
from dpbench.privacy.gradients.engines import ENGINES

# Refusals, all before a record is read


def test_an_optimiser_that_evaluates_the_loss_again_is_refused():
    private, model = a_vault(records=Untouchable), linear()
    with pytest.raises(PrivacyError, match="LBFGS evaluates the loss in its step"):
        start(private, model, optimizer=torch.optim.LBFGS(model.parameters()))
    assert private.ledger.spent["steps"] == 0


class Normed(nn.Module):
    def __init__(self, norm: nn.Module):
        super().__init__()
        self.layer, self.norm = nn.Linear(16, 4), norm

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.layer(x))


class Centred(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x - x.mean(0))


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 4)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        return self.layer(x)


class Places(nn.Module):
    """Position embeddings broadcast over the batch: the losses are independent, the gradients are not."""

    def __init__(self, length: int):
        super().__init__()
        self.place, self.head = nn.Embedding(length, 16 // length), nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x.unflatten(1, (len(self.place.weight), -1))
        return self.head((x + self.place(torch.arange(x.shape[1]))).flatten(1))


def contrast(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    y = model(flat(batch))
    return torch.cdist(y, y).sum(1)


def hardest(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    losses = squares(model, batch, generator)
    return losses * (losses >= losses.median())


def refuse(model: nn.Module, loss, match: str, records: int = 64, name: str = "steps", **settings) -> None:
    private = vault(Untouchable(pixels(records)), steps(records), a_sum())
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with pytest.raises((PrivacyError, UnknownName), match=match):
        private.dp_sgd(name, model, loss, optimizer, torch.Generator(), **settings)
    assert private.ledger.spent == {"steps": 0, "sum": 0}
    assert not any(m._forward_hooks for m in model.modules())


@pytest.mark.parametrize(
    ("model", "loss", "match"),
    [
        (Normed(nn.BatchNorm1d(4)), squares, "BatchNorm1d.*mixes records"),
        (Centred(), squares, "mixes records"),
        (linear(), contrast, "mixes records"),
        (linear(), hardest, "mixes records"),
        (Counting(), squares, "changes 'seen'"),
        (linear(), lambda m, b, g: squares(m, b, g).mean(), r"shape \(16,\), not \(\)"),
        (linear(), lambda m, b, g: squares(m, b, g)[:, None], r"shape \(16,\), not \(16, 1\)"),
        (linear(), lambda m, b, g: squares(m, b, g) * torch.rand(1, generator=OWN), "different values"),
        (linear(), lambda m, b, g: flat(b).sum(1), "does not depend on the model|trained layer"),
    ],
    ids=["batch norm", "batch mean", "contrastive", "hardest", "buffer", "scalar", "matrix", "own", "constant"],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_dp_sgd_refuses_before_a_record_is_read(model, loss, match, engine):
    refuse(model, loss, match, engine=engine)


OWN = torch.Generator()


@pytest.mark.parametrize("engine", BATCHED)
def test_a_parameter_used_outside_its_layer_is_refused(engine):
    refuse(linear(), lambda m, b, g: (flat(b) @ m.weight.T).sum(1), "trained layer|misses part", engine=engine)


@pytest.mark.parametrize("engine", BATCHED)
@pytest.mark.parametrize("length", [2, 4, 8, 16])
@pytest.mark.parametrize("micro_batch", [8, 16])
def test_a_layer_that_broadcasts_over_the_batch_is_refused(engine, length, micro_batch):
    refuse(Places(length), squares, "mixes records|give every layer", engine=engine, micro_batch=micro_batch)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_loss_averaged_over_views_by_itself_is_refused(engine):
    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        return squares(model, batch, generator).reshape(-1, 3).mean(1)

    refuse(linear(), loss, r"shape \(48,\), not \(16,\)", views=3, engine=engine)


@pytest.mark.parametrize("engine", BATCHED)
def test_rows_in_another_order_inside_the_loss_are_refused(engine):
    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        return squares(model, batch.map(lambda t: t.flip(0)), generator).flip(0)

    refuse(linear(), loss, "mixes records", engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_loss_that_would_train_something_outside_the_model_is_refused(engine):
    outside = nn.Linear(16, 16)

    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        return (model(outside(flat(batch))) ** 2).sum(1)

    refuse(linear(), loss, "outside the model", engine=engine)
    outside.requires_grad_(False)
    model = linear()
    next(start(vault(Images(pixels(5)), steps(5)), model, loss, engine=engine))
    assert outside.weight.grad is None


@pytest.mark.parametrize(
    ("name", "match"), [("other", "no mechanism 'other'"), ("sum", "planned as NoisySum, not as DPSGD")]
)
def test_what_is_not_planned_as_dp_sgd_is_refused(name, match):
    refuse(linear(), squares, match, name=name)


def test_a_plan_for_another_number_of_records_is_refused():
    private = vault(Untouchable(pixels(50)), steps(500, expected_batch=20))
    with pytest.raises(PrivacyError, match="planned for 500 records, but the dataset has 50"):
        start(private, linear())
    assert private.ledger.spent == {"steps": 0}


def test_an_unknown_engine_is_answered_with_the_known():
    refuse(linear(), squares, "unknown engine 'opacu'; did you mean opacus", engine="opacu")


def test_layers_that_start_to_mix_records_later_stop_the_next_step():
    model = nn.Sequential(nn.Linear(16, 4), nn.BatchNorm1d(4, affine=False)).eval()
    private = vault(Images(pixels(8)), steps(8, steps=2))
    stepper = start(private, model)
    next(stepper)
    model.train()
    before = model[1].running_mean.clone()
    with pytest.raises(PrivacyError, match="mixes records"):
        next(stepper)
    assert torch.equal(before, model[1].running_mean)
    assert private.ledger.spent == {"steps": 1}


def test_parameters_that_are_unfrozen_later_stop_the_next_step():
    model = nn.Sequential(nn.Linear(16, 4).requires_grad_(False), nn.Linear(4, 1))
    stepper = start(vault(Images(pixels(8)), steps(8, steps=2)), model)
    next(stepper)
    model[0].requires_grad_(True)
    with pytest.raises(PrivacyError, match="trainable parameters changed"):
        next(stepper)
    assert all(p.grad is None for p in model.parameters())


# What is accepted


@pytest.mark.parametrize("engine", ENGINES)
def test_dropout_and_noise_from_the_generator_are_accepted(engine):
    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        return squares(model, batch, generator) * torch.rand(len(batch), generator=generator)

    model = nn.Sequential(nn.Dropout(0.3), nn.Linear(16, 8), nn.LayerNorm(8), nn.Dropout(0.3))
    assert next(start(vault(Images(pixels(9)), steps(9)), model, loss, engine=engine, views=3)).number == 1


@pytest.mark.parametrize("norm", [nn.GroupNorm(2, 4), nn.LayerNorm(4), nn.InstanceNorm1d(4)], ids=repr)
def test_norms_within_a_record_are_accepted(norm):
    class Model(Normed):
        def forward(self, x: Tensor) -> Tensor:
            y = self.layer(x.unflatten(1, (2, 8)).repeat(1, 1, 2)).mT
            return self.norm(y if not isinstance(norm, nn.LayerNorm) else y.mT).flatten(1)

    assert next(start(vault(Images(pixels(9)), steps(9)), Model(norm), engine="opacus")).number == 1


def test_losses_in_bf16_are_accepted():
    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return squares(model, batch, generator).float()

    model = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.LayerNorm(32), nn.Linear(32, 4))
    for engine in BATCHED:  # torch.func knows no autocast in layer norms
        mechanism = steps(9, clip=0.1)
        assert move(pixels(9), mechanism, loss, model, engine=engine).norm() <= 0.9 * (1 + 1e-3)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_vault_in_bf16_computes_the_loss_in_bf16_and_keeps_the_clip(engine):
    seen = set()

    def loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        output = model(flat(batch))
        seen.add(output.dtype)
        return (output**2).sum(1)

    moves = {}
    for precision in ("fp32", "bf16"):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 4))
        private = vault(Images(pixels(9)), steps(9, clip=0.1), precision=precision)
        before = weights(model)
        next(start(private, model, loss, engine=engine))
        moves[precision] = (before - weights(model)) * 9
    assert seen == {torch.float32, torch.bfloat16}
    assert moves["bf16"].norm() <= 0.9 * (1 + 1e-3)
    assert (moves["bf16"] - moves["fp32"]).norm() < 0.05 * moves["fp32"].norm()
    assert not torch.equal(moves["bf16"], moves["fp32"])


def test_derived_values_train_a_model():
    private = vault(Images(pixels(12)), steps(12, clip=math.pi)).derive(flat)
    model = linear()
    before = weights(model)
    next(start(private, model, lambda m, b, g: (m(b.derived) ** 2).sum(1)))
    found = (before - weights(model)) * 12
    torch.testing.assert_close(found, autograd_sum(pixels(12), math.pi), rtol=1e-3, atol=1e-3)


def test_a_model_without_parameters_is_refused_before_a_record_is_read():
    with pytest.raises(PrivacyError, match="no trainable parameters"):
        start(vault(Untouchable(pixels(8)), steps(8)), nn.Identity(), optimizer=torch.optim.SGD(linear().parameters()))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.LSTM(4, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.unflatten(1, (4, 4)))[0]


class Attentive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = x.unflatten(1, (4, 4))
        return self.layer(x, x, x)[0]


def all_squares(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    return model(flat(batch)).square().flatten(1).sum(1)


def by_one_hot(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    return (model(flat(batch)) - torch.nn.functional.one_hot(batch.labels, 4)[:, None]).square().flatten(1).sum(1)


def by_comparison(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    one_hot = batch.labels[:, None] == torch.arange(4)
    return (model(flat(batch)) - one_hot[:, None].float()).square().flatten(1).sum(1)


@pytest.mark.parametrize(
    ("engine", "make", "loss", "advice"),
    [
        ("book-keeping", Recurrent, all_squares, "try engine=vmap"),
        ("opacus", Attentive, all_squares, "try engine=book-keeping"),
        ("vmap", Attentive, by_one_hot, r"write labels\[:, None\] == torch.arange\(n\) for one_hot"),
    ],
)
def test_an_engine_that_cannot_differentiate_a_model_says_in_one_line_what_to_do(engine, make, loss, advice):
    with pytest.raises(PrivacyError, match=advice) as refused:
        start(a_vault(records=Untouchable), make(), loss, engine=engine)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("engine", "loss"), [("book-keeping", by_one_hot), ("vmap", by_comparison)])
def test_attention_and_labels_as_vectors_are_trained(engine, loss):
    model = Attentive()
    before = weights(model)
    next(start(a_vault(), model, loss, engine=engine))
    assert not torch.equal(weights(model), before)


def test_a_spectral_norm_is_trained_in_eval_mode_and_updated_between_steps():
    torch.manual_seed(0)
    model = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(16, 4)), nn.Linear(4, 2))
    with pytest.raises(PrivacyError, match=r"layer '0' updates its spectral norm .* parametrizations.eval\(\)"):
        start(a_vault(records=Untouchable), model)
    norm = model[0].parametrizations
    norm.eval()
    stepper = start(a_vault(), model)
    for _ in range(3):
        next(stepper)
        before = norm.weight[0]._u.clone()
        norm.train()
        model[0].weight  # noqa: B018 (updates the buffers)
        norm.eval()
        assert not torch.equal(norm.weight[0]._u, before)
    assert float(torch.linalg.matrix_norm(model[0].weight.detach(), 2)) == pytest.approx(1, abs=0.2)
