import torch

from dpbench.refiners.degrade import BlockMeans


def test_coarse_pixel_is_the_mean_of_its_block():
    images = torch.rand(3, 2, 8, 8) * 2 - 1
    means = BlockMeans(2, 0.0)(images, torch.Generator())
    assert torch.allclose(means, images.unfold(2, 4, 4).unfold(3, 4, 4).mean((4, 5)), atol=1e-6)


def test_noise_has_the_configured_deviation_and_uses_the_generator():
    images = torch.zeros(50, 1, 16, 16)
    first, again = (BlockMeans(1, 0.1)(images, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert abs(first.std().item() - 0.1) < 0.005


def test_keys_differ_between_corruptions():
    assert len({str(BlockMeans(*a).key) for a in ((1, 0.1), (2, 0.1), (1, 0.2))}) == 3
