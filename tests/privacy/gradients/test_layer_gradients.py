"""The engines against each other, layer by layer and on the networks that the project trains."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from engines import scattered
from torch import Tensor, nn

from dpbench.core.specs import Batch
from dpbench.models.transformer import TokenTransformer, TransformerConfig
from dpbench.privacy.gradients import terms
from dpbench.privacy.gradients.bookkeeping import BookKeepingEngine
from dpbench.privacy.gradients.engine import GradientEngine
from dpbench.privacy.gradients.opacus_engine import OpacusEngine
from dpbench.privacy.gradients.vmap import VmapEngine

RECORDS = 4
EXACT = 1e-5  # relative, in fp32


class Tied(nn.Module):
    """A parameter as an embedding and as the head, and a layer that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.mlp, self.head = nn.Embedding(7, 6), nn.Linear(6, 6), nn.Linear(6, 7)
        self.head.weight = self.token.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.token(tokens)
        for _ in range(2):
            x = x + F.gelu(self.mlp(x))
        return self.head(x)


class TwoConvolutions(nn.Module):
    """One kernel in two convolutions, at places that make different terms of it."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, stride=4)
        self.coarse.weight = self.fine.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.coarse(F.silu(self.fine(x)))


class InPlace(nn.Module):
    """Activations that overwrite a trained layer's output."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 3, 3), nn.SiLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def images(*shape: int) -> Tensor:
    return torch.randn(RECORDS, *shape, generator=torch.Generator().manual_seed(1))


def indices(*shape: int, of: int = 7) -> Tensor:
    return torch.randint(of, (RECORDS, *shape), generator=torch.Generator().manual_seed(1))


class InPlaceTokens(nn.Module):
    """The same on a linear layer over positions, whose output is a view."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(6, 9), nn.Linear(9, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.relu_(self.up(x)))


class ChannelsLast(nn.Module):
    """A layer whose input and output gradient have the strides of channels-last images."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        output = self.layer(x.movedim(1, -1).contiguous().movedim(-1, 1))
        return output.movedim(1, -1).contiguous()


ZOO = {
    "linear": (lambda: nn.Linear(6, 5), images(6)),
    "linear over many positions": (lambda: nn.Linear(6, 5), images(40, 6)),
    "linear over few positions": (lambda: nn.Linear(30, 40), images(3, 30)),
    "linear over two dimensions": (lambda: nn.Linear(6, 5, bias=False), images(3, 4, 6)),
    "embedding": (lambda: nn.Embedding(7, 5), indices(9)),
    "embedding of one index": (lambda: nn.Embedding(7, 5), indices()),
    "embedding with padding": (lambda: nn.Embedding(7, 5, padding_idx=2), indices(9)),
    "conv1d": (lambda: nn.Conv1d(3, 4, 3, padding=1), images(3, 10)),
    "conv1d, few places": (lambda: nn.Conv1d(9, 16, 5, stride=4, dilation=2), images(9, 17)),
    "conv2d": (lambda: nn.Conv2d(3, 4, 3, padding=1), images(3, 8, 8)),
    "conv2d, one place": (lambda: nn.Conv2d(3, 4, 4), images(3, 4, 4)),
    "conv2d, few places": (lambda: nn.Conv2d(8, 12, 3, stride=2, padding=1), images(8, 4, 6)),
    "conv2d 1x1": (lambda: nn.Conv2d(16, 16, 1), images(16, 2, 2)),
    "conv2d, uneven": (
        lambda: nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(0, 1), dilation=(1, 2)),
        images(3, 9, 8),
    ),
    "conv2d, groups": (lambda: nn.Conv2d(4, 6, 3, groups=2, padding=1), images(4, 5, 5)),
    "conv2d, depthwise": (lambda: nn.Conv2d(4, 8, 3, groups=4, bias=False), images(4, 5, 5)),
    "conv2d, same": (lambda: nn.Conv2d(2, 3, 4, padding="same"), images(2, 6, 6)),
    "conv2d, valid": (lambda: nn.Conv2d(2, 3, 4, padding="valid"), images(2, 6, 6)),
    "conv2d, reflect": (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), images(2, 6, 6)),
    "conv2d, circular": (lambda: nn.Conv2d(8, 9, 3, padding=1, padding_mode="circular"), images(8, 2, 2)),
    "conv2d, replicate": (lambda: nn.Conv2d(2, 3, 3, padding=2, padding_mode="replicate"), images(2, 6, 6)),
    "conv3d": (lambda: nn.Conv3d(2, 3, 3, stride=2, padding=1), images(2, 5, 5, 5)),
    "transposed conv1d": (lambda: nn.ConvTranspose1d(3, 4, 4, stride=2, padding=1), images(3, 5)),
    "transposed conv2d": (lambda: nn.ConvTranspose2d(3, 4, 4, stride=2, padding=1), images(3, 5, 5)),
    "transposed conv2d, one place": (lambda: nn.ConvTranspose2d(9, 8, 4), images(9, 1, 1)),
    "transposed conv2d, uneven": (
        lambda: nn.ConvTranspose2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 0), groups=2, dilation=(2, 3)),
        images(4, 4, 5),
    ),
    "transposed conv2d, padded beyond its reach": (
        lambda: nn.ConvTranspose2d(2, 3, 3, output_padding=1, dilation=2),
        images(2, 4, 4),
    ),
    "transposed conv2d, padded beyond its reach in one direction": (
        lambda: nn.ConvTranspose2d(2, 3, 3, output_padding=(1, 0), dilation=2),
        images(2, 4, 4),
    ),
    "transposed conv3d": (lambda: nn.ConvTranspose3d(2, 3, 2, stride=2, bias=False), images(2, 2, 3, 2)),
    "embedding bag": (lambda: nn.EmbeddingBag(7, 5, mode="sum"), indices(9)),
    "embedding bag, mean": (lambda: nn.EmbeddingBag(7, 5, padding_idx=2), indices(9)),
    "layer norm": (lambda: nn.LayerNorm(6), images(5, 6)),
    "layer norm over two dimensions": (lambda: nn.LayerNorm((4, 6), bias=False), images(3, 4, 6)),
    "rms norm": (lambda: nn.RMSNorm(6), images(5, 6)),
    "rms norm with eps": (lambda: nn.RMSNorm((4, 6), eps=1e-2), images(4, 6)),
    "group norm": (lambda: nn.GroupNorm(2, 6), images(6, 4, 4)),
    "group norm of vectors": (lambda: nn.GroupNorm(3, 6), images(6)),
    "group norm, channels last": (lambda: ChannelsLast(nn.GroupNorm(2, 6)), images(6, 4, 4)),
    "conv2d, channels last": (lambda: ChannelsLast(nn.Conv2d(3, 4, 3, padding=1)), images(3, 8, 8)),
    "conv2d, few places, channels last": (lambda: ChannelsLast(nn.Conv2d(8, 12, 3)), images(8, 4, 4)),
    "conv1d, channels last": (lambda: ChannelsLast(nn.Conv1d(3, 4, 3, padding=1)), images(3, 10)),
    "layer norm, transposed": (lambda: ChannelsLast(nn.LayerNorm(6)), images(5, 6)),
    "rms norm, transposed": (lambda: ChannelsLast(nn.RMSNorm(6)), images(5, 6)),
    "linear, transposed": (lambda: ChannelsLast(nn.Linear(6, 5)), images(3, 6)),
    "tied": (Tied, indices(6)),
    "two convolutions": (TwoConvolutions, images(2, 9, 9)),
    "in place": (InPlace, images(2, 7, 7)),
    "in place over positions": (InPlaceTokens, images(5, 6)),
}
NO_OPACUS = {
    *("conv2d, valid", "conv2d, reflect", "conv2d, circular", "conv2d, replicate"),  # wrong or refused
    *("two convolutions", "in place", "in place over positions", "layer norm over two dimensions"),  # crashes
    *("embedding bag", "embedding bag, mean"),  # crashes
    "embedding with padding",  # wrong from the second call on
    "group norm, channels last",  # torch 2.11 crashes in the plain backward pass if the input needs no gradient
}
"""What opacus 1.6 cannot be compared on; its other answers agree."""


def each(engine: GradientEngine, batch: Batch, views: int) -> Tensor:
    """The records' own gradients: [records, parameters]."""
    rows = batch.repeat(views)
    one_by_one = torch.eye(len(batch)).bool()
    sums = [engine.clipped_sum(rows, one, views, math.inf, torch.Generator().manual_seed(3)) for one in one_by_one]
    return torch.stack([torch.cat([t.flatten() for t in parts]) for parts in sums])


def assert_agree(found: Tensor, expected: Tensor) -> None:
    error = (found - expected).norm(dim=1) / expected.norm(dim=1)
    assert error.max() < EXACT, f"relative error {error.max():.2g}"


@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("name", ZOO)
def test_layers_give_the_gradients_that_vmap_gives(name, views):
    torch.manual_seed(0)
    make, x = ZOO[name]
    model = make()
    for p in model.parameters():  # norms start at one and zero, which would hide mistakes
        nn.init.normal_(p, std=0.5)
    expected = each(VmapEngine(model, scattered), Batch(derived=x), views)
    assert_agree(each(BookKeepingEngine(model, scattered), Batch(derived=x), views), expected)
    if name not in NO_OPACUS:
        engine = OpacusEngine(model, scattered)
        assert_agree(each(engine, Batch(derived=x), views), expected)
        engine.close()


@pytest.mark.parametrize("views", [1, 8])
@pytest.mark.parametrize("clip", [1e-3, 1.0, math.inf])
@pytest.mark.parametrize("name", ZOO)
def test_clipped_sums_are_those_of_vmap(name, clip, views):
    torch.manual_seed(0)
    make, x = ZOO[name]
    model, real = make(), torch.tensor([True, True, False, True])
    batch = Batch(derived=x).repeat(views)

    def of(engine: GradientEngine) -> Tensor:
        sums = engine.clipped_sum(batch, real, views, clip, torch.Generator().manual_seed(3))
        return torch.cat([t.flatten() for t in sums])

    expected = of(VmapEngine(model, scattered))
    assert (of(BookKeepingEngine(model, scattered)) - expected).norm() < 3 * EXACT * expected.norm()


@pytest.mark.parametrize("name", [name for name in ZOO if name.startswith(("linear", "conv"))])
def test_the_forms_that_a_gpu_would_choose_give_the_same_sums(name, monkeypatch):
    for constants in (terms.CHUNK, terms.DENSE_COST):
        monkeypatch.setitem(constants, "cpu", constants["gpu"])
    test_clipped_sums_are_those_of_vmap(name, 1.0, 8)
    test_layers_give_the_gradients_that_vmap_gives(name, 1)


def test_a_gpu_holds_no_dense_gradients_of_wide_layers():
    """64 positions in layers as wide as those of a transformer of 50 million weights."""
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    for inputs, outputs in ((512, 512), (512, 1536), (512, 2048), (2048, 512)):
        assert terms.gram_is_cheaper(64, inputs, outputs, gpu)
        assert not terms.gram_is_cheaper(64, inputs, outputs, cpu)


def test_patches_count_as_memory():
    model, x = ZOO["conv2d, few places"][0](), ZOO["conv2d, few places"][1]
    engine = BookKeepingEngine(model, scattered)
    patches, bias = 4 * RECORDS * (2 * 3) * (8 * 9), 4 * RECORDS * 12
    assert engine.stored_bytes(Batch(derived=x), 1, torch.Generator().manual_seed(0)) == patches + bias


def token_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    assert isinstance(model, TokenTransformer)
    weights = torch.rand(len(batch), generator=generator)
    return weights * model.loss(batch.derived, batch.labels)


def unet_loss(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    noise = torch.randn(batch.derived.shape, generator=generator)
    time = torch.rand(len(batch), generator=generator)
    output = model(batch.derived + time[:, None, None, None] * noise, time, class_labels=batch.labels).sample
    return (output - noise).square().mean((1, 2, 3))


def transformer() -> tuple[nn.Module, Batch]:
    model = TokenTransformer(TransformerConfig(vocabulary=32, length=16, conditions=3, dim=32, depth=2, heads=2))
    return model, Batch(derived=indices(16, of=32), condition=indices(of=3))


def unet(block: str = "") -> tuple[nn.Module, Batch]:
    from diffusers import UNet2DModel

    model = UNet2DModel(
        sample_size=16, in_channels=2, out_channels=2, layers_per_block=1, block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", f"{block}DownBlock2D"), up_block_types=(f"{block}UpBlock2D", "UpBlock2D"),
        norm_num_groups=4, attention_head_dim=8, num_class_embeds=3,
    )  # fmt: skip
    return model, Batch(derived=images(2, 16, 16), condition=indices(of=3))


def unet_of_attention_alone() -> tuple[nn.Module, Batch]:
    model, batch = unet("Attn")
    for name, p in model.named_parameters():
        p.requires_grad_("attentions" in name)
    return model, batch


MODELS = {
    "transformer": (transformer, token_loss),
    "unet": (unet, unet_loss),
    "unet with attention": (lambda: unet("Attn"), unet_loss),
    "unet, attention only": (unet_of_attention_alone, unet_loss),
}


@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_the_projects_networks_give_the_gradients_that_vmap_and_opacus_give(name, views):
    torch.manual_seed(0)
    make, loss = MODELS[name]
    model, batch = make()
    expected = each(VmapEngine(model, loss), batch, views)
    assert_agree(each(BookKeepingEngine(model, loss), batch, views), expected)
    engine = OpacusEngine(model, loss)
    assert_agree(each(engine, batch, views), expected)


def test_views_cost_no_memory_of_their_own():
    model, batch = unet()
    engine = BookKeepingEngine(model, unet_loss)
    one, eight = (engine.stored_bytes(batch.repeat(k), k, torch.Generator().manual_seed(0)) for k in (1, 8))
    instantiated = RECORDS * 4 * sum(p.numel() for p in model.parameters())
    assert one <= eight <= instantiated


def test_frozen_layers_are_not_watched():
    model, _ = unet_of_attention_alone()
    engine = BookKeepingEngine(model, unet_loss)
    watched = {name for name, module in model.named_modules() if module._forward_hooks}
    assert watched
    assert all("attentions" in name for name in watched)
    engine.close()


@pytest.mark.parametrize("name", ["transformer", "unet"])
def test_gradient_checkpointing_changes_no_gradient(name):
    from torch.utils.checkpoint import checkpoint

    make, loss = MODELS[name]
    torch.manual_seed(0)
    model, batch = make()
    expected = each(BookKeepingEngine(model, loss), batch, 1)
    torch.manual_seed(0)
    model, batch = make()
    blocks = model.blocks if name == "transformer" else [*model.down_blocks, model.mid_block]
    for block in blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    assert_agree(each(BookKeepingEngine(model, loss), batch, 1), expected)
