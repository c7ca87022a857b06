"""The book-keeping engine on diffusers' own U-Nets, with all weights trained: the gradients of `vmap(grad)`."""

from __future__ import annotations

import pytest
import torch
from tiny_pipelines import condition_unet, plain_unet

from dpbench.core.specs import Batch
from dpbench.models.caption_context import ProjectedWords
from dpbench.models.caption_unet import CaptionUNet
from dpbench.models.class_unet import with_classes
from dpbench.models.condition_unet import condition_unet as untrained_unet
from dpbench.models.unet_config import UNetConfig
from dpbench.privacy.gradients.engines import ENGINES

RECORDS, VIEWS = 3, 2


def loss(model, batch, generator):
    """Squared output of the network on latents, at a time step that depends on the record."""
    labels = batch.condition
    return model(batch.derived, labels * 100, labels).square().flatten(1).mean(1)


def clipped_sums(model, loss, batch):
    """Clipped sums of two of three records, by engine."""
    sums = {}
    for name in ("book-keeping", "vmap"):
        engine = ENGINES[name](model, loss)
        real = torch.tensor([True, True, False])
        sums[name] = engine.clipped_sum(batch, real, VIEWS, 0.1, torch.Generator())
        engine.close()
    assert sum(s.square().sum() for s in sums["vmap"]) > 1e-3
    return sums


@pytest.mark.parametrize("make", [condition_unet, plain_unet])
def test_clipped_sums_equal_those_of_vmap(make):
    model = with_classes(make(), 4)
    channels = model.unet.config.in_channels
    batch = Batch(condition=torch.arange(RECORDS), derived=torch.randn(RECORDS, channels, 8, 8)).repeat(VIEWS)
    sums = clipped_sums(model, loss, batch)
    reached = 0
    for (name, _), found, expected in zip(model.named_parameters(), *sums.values(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6, msg=name)
        reached += bool(expected.any())
    assert reached > 0.9 * len(sums["vmap"])  # of cross-attention to a single token, queries and keys have no gradient


def loss_of_captions(model, batch, generator):
    """Squared output of the network on pixels with captions, at a noise level that depends on the record."""
    return model(batch.derived, batch.condition.sum((1, 2)), batch.condition).square().flatten(1).mean(1)


def test_clipped_sums_with_captions_equal_those_of_vmap():
    """Captions of three words, of one and of none; images in patches."""
    torch.manual_seed(0)
    model = CaptionUNet(untrained_unet(4, 8, UNetConfig((8, 16)), 12), ProjectedWords(3, 6, 12), patch=2)
    words = torch.randn(RECORDS, 3, 6) * torch.tensor([[1, 1, 1], [0, 0, 0], [1, 0, 0]])[..., None]
    batch = Batch(condition=words, derived=torch.randn(RECORDS, 1, 16, 16)).repeat(VIEWS)
    sums = clipped_sums(model, loss_of_captions, batch)
    for (name, _), found, expected in zip(model.named_parameters(), *sums.values(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6, msg=name)
        assert expected.any(), name
