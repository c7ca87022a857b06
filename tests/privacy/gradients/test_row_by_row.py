"""Modules without a rule: the book-keeping engine runs them row by row, in fp64 against `vmap(grad)`."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from engines import scattered
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.checks.engine_checks import check_engine
from dpbench.privacy.gradients.bookkeeping import BookKeepingEngine
from dpbench.privacy.gradients.vmap import VmapEngine

RECORDS = 4


class Positions(nn.Module):
    """A small vision transformer's parameters: positions and a class token at the root, learned scales inside."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm, self.head = nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 3)
        self.token, self.place = nn.Parameter(torch.zeros(1, 1, 8)), nn.Parameter(torch.zeros(1, 5, 8))
        self.scaled = nn.ModuleList(Scale(nn.Linear(8, 8)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.token.expand(len(x), -1, -1), self.embed(x)], dim=1) + self.place
        for block in self.scaled:
            x = x + block(self.norm(x))
        return self.head(x)


class Scale(nn.Module):
    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner, self.scale = inner, nn.Parameter(torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.inner(x)


class Listed(nn.Module):
    """Parameters in containers, which nobody calls."""

    def __init__(self) -> None:
        super().__init__()
        self.shifts = nn.ParameterList([torch.zeros(6), torch.zeros(6)])
        self.scales = nn.ParameterDict({"a": torch.ones(6)})
        self.out = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu_(self.out.weight.new_ones(1) * (x + self.shifts[0]) * self.scales["a"] + self.shifts[1]))


class Tied(nn.Module):
    """A parameter that is used directly, and by a layer with a rule."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(6, 6))
        self.layer = nn.Linear(6, 6)
        self.layer.weight = self.table

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(torch.tanh(x @ self.table))


class Attention(nn.Module):
    def __init__(self, need_weights: bool):
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.need_weights = need_weights

    def forward(self, x: Tensor) -> Tensor:
        later = torch.ones(x.shape[1], x.shape[1]).triu(1).bool()
        values, weights = self.attention(x, x, x, attn_mask=later, need_weights=self.need_weights)
        assert (weights is not None) == self.need_weights
        return values


class TwoInputs(nn.Module):
    """Keyword arguments, one with rows and one without, and a result in a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Gated()

    def forward(self, x: Tensor) -> Tensor:
        found, _, note = self.inner(x, gate=x[:, 0], table=torch.arange(6.0))
        assert note == "done"
        return found


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(6))

    def forward(self, x: Tensor, gate: Tensor, table: Tensor) -> tuple[Tensor, None, str]:
        return self.scale * x * gate[:, None] + table * self.scale, None, "done"


def images(*shape: int) -> Tensor:
    return torch.randn(RECORDS, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def normalised(norm, layer: nn.Module) -> nn.Module:
    """The layer with a normalised weight, after a few power iterations."""
    layer = norm(layer.double())
    for _ in range(5):
        layer.weight  # noqa: B018 (updates the buffers of a spectral norm)
    layer.parametrizations.eval()
    return layer


ZOO = {
    "positions": (Positions, images(4, 6)),
    "containers": (Listed, images(6)),
    "tied": (Tied, images(5, 6)),
    "attention": (lambda: Attention(False), images(5, 6)),
    "attention with weights": (lambda: Attention(True), images(5, 6)),
    "two inputs": (TwoInputs, images(6)),
    "prelu": (lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.PReLU(3), nn.PReLU()), images(2, 5, 5)),
    "instance norm": (lambda: nn.InstanceNorm2d(2, affine=True), images(2, 5, 5)),
    "weight norm": (lambda: normalised(parametrizations.weight_norm, nn.Linear(6, 5)), images(6)),
    "weight norm of a convolution": (
        lambda: nn.Sequential(normalised(parametrizations.weight_norm, nn.Conv2d(2, 3, 3)), nn.Conv2d(3, 2, 3)),
        images(2, 6, 6),
    ),
    "spectral norm": (lambda: normalised(parametrizations.spectral_norm, nn.Conv2d(2, 3, 3)), images(2, 5, 5)),
    "orthogonal": (lambda: normalised(parametrizations.orthogonal, nn.Linear(6, 6)), images(6)),
    "bilinear": (lambda: Pair(nn.Bilinear(6, 6, 3)), images(6)),
    "transformer layer": (
        lambda: nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0, batch_first=True),
        images(5, 6),
    ),
}


class Pair(nn.Module):
    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x, x.flip(0) * 0 + x)


def each(engine, batch: Batch, views: int, clip: float = math.inf) -> Tensor:
    one_by_one = torch.eye(RECORDS).bool()
    rows = batch.repeat(views)
    sums = [engine.clipped_sum(rows, one, views, clip, torch.Generator().manual_seed(3)) for one in one_by_one]
    return torch.stack([torch.cat([t.flatten() for t in parts]) for parts in sums])


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("name", ZOO)
def test_modules_without_a_rule_give_the_gradients_that_vmap_gives(name, views, mode):
    torch.manual_seed(0)
    make, x = ZOO[name]
    model = make().double().train(mode == "train")
    for part in model.modules():
        if hasattr(part, "parametrizations"):
            part.parametrizations.eval()
        for p in part.parameters(recurse=False):
            nn.init.normal_(p, std=0.5)
    batch = Batch(derived=x)
    expected = each(VmapEngine(model, scattered), batch, views)
    engine = BookKeepingEngine(model, scattered)
    found = each(engine, batch, views)
    assert (found - expected).norm() < 1e-6 * expected.norm()
    clip = float(expected.norm(dim=1).median())
    assert (each(engine, batch, views, clip).norm(dim=1) <= clip * (1 + 1e-5)).all()
    check_engine(engine, batch.repeat(views), views, torch.Generator().manual_seed(0))
    engine.close()


class WithoutRows(nn.Module):
    """Returns its parameter itself."""

    def __init__(self) -> None:
        super().__init__()
        self.place, self.layer = Place(), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.place(*self.given(x))

    def given(self, x: Tensor) -> tuple[Tensor, ...]:
        return (x,)


class WithoutInputs(WithoutRows):
    def given(self, x: Tensor) -> tuple[Tensor, ...]:
        return ()


class Place(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.ones(5, 6))

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.place.clone()


class Transposed(nn.Module):
    """Gives a module without a rule other rows than the loss has."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Scale(nn.Linear(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.transpose(0, 1)).transpose(0, 1)


class OwnVmap(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return torch.func.vmap(self.layer, in_dims=1, out_dims=1)(x)


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (WithoutRows, (5, 6), "Place module .* returns a tensor without rows"),
        (WithoutInputs, (5, 6), "Place module .* needs a batch as its argument"),
        (Transposed, (5, 8), "saw 5 rows where the loss has 4"),
        (OwnVmap, (5, 6), "Linear layer runs under vmap; try engine=vmap"),
    ],
)
def test_rows_that_belong_to_no_record_are_refused(make, shape, message):
    engine = BookKeepingEngine(make(), scattered)
    with pytest.raises(PrivacyError, match=message):
        each(engine, Batch(derived=images(*shape).float()), 1)


def test_only_parameters_without_a_rule_are_materialised_for_every_record():
    """A position embedding at the root does not make the layers below it costlier."""

    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.place, self.layer = nn.Parameter(torch.zeros(1, 2, 64)), nn.Linear(64, 64)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x + self.place)

    engine = BookKeepingEngine(Wide(), scattered)
    place, bias = 2 * 64, 64
    stored = engine.stored_bytes(Batch(derived=images(2, 64).float()), 1, torch.Generator().manual_seed(0))
    assert stored == 4 * RECORDS * (place + bias)


def test_a_frozen_parameter_without_a_rule_needs_no_copies():
    model = Positions()
    for p in (model.token, model.place, *(block.scale for block in model.scaled)):
        p.requires_grad_(False)
    engine = BookKeepingEngine(model, scattered)
    assert "forward" not in vars(model)
    expected = each(VmapEngine(model, scattered), Batch(derived=images(4, 6).float()), 1)
    torch.testing.assert_close(each(engine, Batch(derived=images(4, 6).float()), 1), expected)


def test_gradient_checkpointing_changes_no_gradient_and_closing_gives_the_module_its_own_forward_back():
    model, batch = (
        nn.Sequential(nn.Linear(6, 8), nn.Sequential(Scale(nn.Linear(8, 8)))).double(),
        Batch(derived=images(6)),
    )
    expected = each(VmapEngine(model, scattered), batch, 1)
    block, (scale,) = model[1], model[1]
    block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    own = scale.forward = partial(scale.forward)
    engine = BookKeepingEngine(model, scattered)
    assert vars(scale)["forward"] is not own
    assert (each(engine, batch, 1) - expected).norm() < 1e-6 * expected.norm()
    engine.close()
    assert vars(scale)["forward"] is own


@pytest.mark.parametrize("place", [True, False], ids=["inside a module without a rule", "by itself"])
def test_a_transformer_layer_in_eval_mode_is_not_fused(place):
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.TransformerEncoderLayer(8, 2, 8, batch_first=True)
            if place:
                self.place = nn.Parameter(torch.randn(1, 5, 8))

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x + self.place if place else x)

    torch.manual_seed(0)
    check_engine(
        BookKeepingEngine(Encoder().eval(), scattered), Batch(derived=images(5, 8).float()), 1, torch.Generator()
    )


def test_two_engines_on_one_model_do_not_disturb_each_other():
    torch.manual_seed(0)
    model, batch = Positions().double(), Batch(derived=images(4, 6))
    expected = each(VmapEngine(model, scattered), batch, 1)
    first, second = BookKeepingEngine(model, scattered), BookKeepingEngine(model, scattered)
    for engine in (first, second):
        assert (each(engine, batch, 1) - expected).norm() < 1e-6 * expected.norm()
    first.close()
    assert (each(second, batch, 1) - expected).norm() < 1e-6 * expected.norm()


def test_random_draws_inside_are_those_of_the_whole_batch():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), Scale(nn.Dropout(0.5)))
    check_engine(BookKeepingEngine(model, scattered), Batch(derived=images(6).float()), 1, torch.Generator())
