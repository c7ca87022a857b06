import time

import pytest
import torch

from dpbench.core.cache import PublicCache
from dpbench.core.context import RunContext
from dpbench.core.peak_memory import peak_memory_mb
from dpbench.core.refiner import Refiner, RefinerSettings
from dpbench.core.refiner_cost import RefinerCost


class Slow(Refiner):
    def refine(self, coarse, size, run):
        time.sleep(0.05)
        return torch.zeros(len(coarse), 1, size, size)

    def state_dict(self):
        return {"a": torch.zeros(3, 4), "b": torch.zeros(5)}


def test_calls_add_up_their_images_and_seconds(tmp_path):
    refiner = Slow(RefinerSettings())
    assert refiner.cost.seconds_per_image is None
    run = RunContext("cpu", torch.Generator(), PublicCache(tmp_path))
    for count in (2, 3):
        refiner(torch.zeros(count, 1, 4, 4), 8, run)
    assert refiner.cost.images == 5
    assert refiner.cost.seconds >= 0.1
    assert refiner.cost.seconds_per_image == pytest.approx(refiner.cost.seconds / 5)
    assert refiner.parameters() == 17


def test_preparation_is_measured_also_when_its_weights_come_from_the_cache(tmp_path):
    def prepare(generator):
        time.sleep(0.05)
        return {"a": torch.zeros(1)}

    for _ in range(2):
        cost, cache = RefinerCost(), PublicCache(tmp_path)
        with cost.preparing(cache):
            cache.get("x", 1, prepare)
        assert 0.05 <= cost.seconds_prepare < 5


def test_memory_that_refinement_needs_beyond_the_peak_is_counted():
    cost = RefinerCost()
    peak = peak_memory_mb("cpu")
    with cost.refining(1, "cpu"):
        needed = int(peak) + 200
        torch.ones(needed * 2**18)  # float32: MiB beyond everything that the process has held
    assert cost.memory_mb > 150
    with cost.refining(1, "cpu"):
        pass
    assert cost.images == 2
