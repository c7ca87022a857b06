import pytest
import torch

from dpbench.core.errors import ConfigError
from dpbench.methods.wavelet.corruption import Retokenised
from dpbench.methods.wavelet.tokenizer import PatchTokenizer, kmeans, nearest, to_patches


def test_images_made_of_codebook_entries_survive_the_round_trip():
    codebook = torch.randn(7, 3 * 2 * 2)
    tokenizer = PatchTokenizer(codebook, patch=2, channels=3, side=8)
    tokens = torch.randint(7, (5, tokenizer.length))
    assert tokenizer.length == 16
    assert torch.equal(tokenizer.encode(tokenizer.decode(tokens)), tokens)


def test_patches_are_in_raster_order():
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert to_patches(image, 2)[0].tolist() == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]


def test_encoding_picks_the_nearest_entry():
    points, centres = torch.randn(1000, 4), torch.randn(30, 4)
    assert torch.equal(nearest(points, centres, chunk=64), torch.cdist(points, centres).argmin(1))


def test_kmeans_finds_separated_clusters():
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    points = centres.repeat(50, 1) + 0.01 * torch.randn(150, 2)
    found = kmeans(points, 3, torch.Generator().manual_seed(3))
    assert torch.cdist(centres, found).min(1).values.max() < 0.1


def test_kmeans_restarts_centres_that_lose_all_points():
    points = torch.cat([torch.zeros(500, 2), torch.rand(20, 2) + 5])
    found = kmeans(points, 8, torch.Generator().manual_seed(0))
    assert len(torch.unique(nearest(points, found))) > 2


def test_too_few_patches_for_the_codes_are_refused():
    with pytest.raises(ConfigError, match="set fewer codes"):
        kmeans(torch.zeros(3, 2), 8, torch.Generator())


def test_patches_that_do_not_divide_the_band_are_refused():
    with pytest.raises(ConfigError, match="do not divide"):
        PatchTokenizer(torch.zeros(4, 9), patch=3, channels=1, side=8)


def test_corruption_replaces_the_stated_share_of_tokens():
    tokenizer = PatchTokenizer(torch.randn(256, 4), patch=2, channels=1, side=8)
    images = torch.rand(200, 1, 32, 32) * 2 - 1
    clean = tokenizer.encode(Retokenised(tokenizer, 2, flip=0.0, noise=0.0)(images, torch.Generator()))
    flipped = tokenizer.encode(Retokenised(tokenizer, 2, flip=0.3, noise=0.0)(images, torch.Generator()))
    assert abs((clean != flipped).float().mean().item() - 0.3) < 0.03
