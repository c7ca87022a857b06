import torch

from dpbench.models.image_range import to_uint8, to_unit


def test_scaling_to_unit_range_and_back_keeps_every_byte():
    every = torch.arange(256, dtype=torch.uint8)
    assert to_unit(every).min() == -1
    assert to_unit(every).max() == 1
    assert torch.equal(to_uint8(to_unit(every)), every)
