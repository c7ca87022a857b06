import pytest
import torch

from dpbench.models import nearest_points as module
from dpbench.models.nearest_points import nearest_points, pixel_points


@pytest.fixture
def points():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(40, 5, generator=generator), torch.randn(300, 5, generator=generator)


@pytest.mark.parametrize("block", [7, 64, 1000])
@pytest.mark.parametrize("k", [1, 3])
def test_they_are_those_of_the_whole_distance_matrix(points, monkeypatch, block, k):
    monkeypatch.setattr(module, "BLOCK", block)
    queries, pool = points
    expected = torch.cdist(queries, pool).topk(k, largest=False).indices
    assert torch.equal(nearest_points(queries, pool, k), expected)


@pytest.mark.parametrize("block", [7, 1000])
def test_neighbours_are_of_the_query_s_own_group(points, monkeypatch, block):
    monkeypatch.setattr(module, "BLOCK", block)
    queries, pool = points
    groups = torch.arange(40) % 3, torch.arange(300) // 100
    found = nearest_points(queries, pool, 2, groups)
    for group in range(3):
        own = torch.cdist(queries[groups[0] == group], pool[groups[1] == group]).topk(2, largest=False).indices
        assert torch.equal(found[groups[0] == group], own + 100 * group)


def test_images_as_points_are_averaged_down_and_never_enlarged():
    images = torch.full((2, 3, 8, 8), 255, dtype=torch.uint8)
    images[1, :, :4] = 0
    assert pixel_points(images, 2).tolist() == [[1.0] * 12, [0.0, 0.0, 1.0, 1.0] * 3]
    assert pixel_points(images, 16).shape == (2, 3 * 64)
