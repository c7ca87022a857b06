"""The memory refiner: what is stored, what is looked up, and how it modulates the restorer."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from dpbench.models.haar import coarse as block_means
from dpbench.refiners.networks.memorized_modulation import (
    AttentionalDenormalization,
    MemorizedModulation,
    coarse_patches,
    nearest_entries,
    rows,
)


@pytest.fixture
def network() -> MemorizedModulation:
    torch.manual_seed(0)
    return MemorizedModulation(channels=1, width=8, depth=1, scale=4, entries=60)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(20, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_detail_code_holds_everything_but_the_block_mean(network, images):
    codes = network.detail_codes(images)
    means = F.interpolate(block_means(images, 2), scale_factor=4)
    blocks = F.pixel_unshuffle((images - means).square(), 4).sum(1)
    assert codes.shape == (20, 15, 4, 4)
    assert torch.allclose(codes.square().sum(1), blocks, atol=1e-4)


def test_nearest_entry_is_the_one_with_the_largest_cosine():
    queries, keys = (F.normalize(torch.randn(n, 6), dim=1) for n in (2500, 40))
    cosines = F.cosine_similarity(queries[:, None], keys[None], dim=2)
    assert torch.equal(nearest_entries(queries, keys), cosines.argmax(1))


def test_a_stored_patch_recalls_its_own_code(network, images):
    coarse = block_means(images, 2)
    network.measure(images, coarse)
    recalled = network.recalled(network.features(network.patches), torch.Size((1, 60)))
    assert torch.allclose(rows(recalled), network.codes)
    stored = {tuple(code) for code in rows(network.detail_codes(images)).tolist()}
    assert {tuple(code) for code in network.codes.tolist()} <= stored


def test_patches_surround_their_pixel(images):
    patches = coarse_patches(images).unflatten(1, (5, 5))
    assert torch.equal(patches[:, 2, 2], images[:, 0])
    assert torch.equal(patches[:, 0, 4, 2:, :-2], images[:, 0, :-2, 2:])


@pytest.mark.parametrize(("kind", "reference"), [(0, "layer norm"), (1, "instance norm"), (2, "raw")])
def test_attention_chooses_between_norms(kind, reference):
    torch.manual_seed(0)
    norm, x = AttentionalDenormalization(6, 3), torch.randn(2, 6, 5, 5)
    torch.nn.init.zeros_(norm.attention.weight)
    norm.attention.bias.data = 100 * F.one_hot(torch.tensor(kind), 3).float()
    references = {
        "layer norm": F.layer_norm(x.movedim(1, -1), (6,)).movedim(-1, 1),
        "instance norm": F.instance_norm(x),
        "raw": x,
    }
    codes = torch.randn(2, 3, 5, 5)
    gamma, beta = norm.modulation(codes).chunk(2, dim=1)
    assert torch.allclose(norm(x, codes), (1 + gamma) * references[reference] + beta, atol=1e-5)


def test_recalled_codes_change_the_image(network, images):
    coarse, codes = block_means(images, 2), network.detail_codes(images)
    assert not torch.allclose(network(coarse, codes), network(coarse, -codes), atol=1e-3)


def test_one_pixel_is_refined(network):
    assert network.refine(torch.zeros(1, 1, 1, 1), None).shape == (1, 1, 4, 4)
