from collections.abc import Callable

import numpy as np
import pytest
import torch

from dpbench.core.cache import PublicCache
from dpbench.core.context import RunContext
from dpbench.core.specs import Budget, DatasetSpec
from dpbench.data.arrays import ArrayDataset
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.noise_key import NoiseKey
from dpbench.privacy.plan import Plan
from dpbench.privacy.vault import Vault


def bars(spec: DatasetSpec, count: int, seed: int) -> ArrayDataset:
    """Bright bars on black: horizontal in class 0, vertical in class 1."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = random.integers(0, 30, (count, *spec.shape), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        start = random.integers(4, spec.resolution - 8)
        if label == 0:
            image[:, start : start + 5, :] += 200
        else:
            image[:, :, start : start + 5] += 200
    return ArrayDataset(spec, images, labels if spec.classes else None)


@pytest.fixture
def spec() -> DatasetSpec:
    return DatasetSpec("bars", 1, 16, 400, 100, ("horizontal", "vertical"), True)


@pytest.fixture
def sensitive(spec: DatasetSpec) -> ArrayDataset:
    return bars(spec, 400, seed=1)


@pytest.fixture
def public() -> ArrayDataset:
    return bars(DatasetSpec("public-bars", 1, 16, 300, 0, None, True), 300, seed=2)


@pytest.fixture
def run(tmp_path) -> RunContext:
    torch.manual_seed(0)
    return RunContext("cpu", torch.Generator().manual_seed(0), PublicCache(tmp_path / "public"))


@pytest.fixture
def vault(sensitive: ArrayDataset) -> Callable[[Plan, float], Vault]:
    def make(plan: Plan, epsilon: float) -> Vault:
        ledger = Ledger(calibrate(plan, Budget(epsilon, 1e-5)))
        return Vault(sensitive, sensitive.spec, ledger, NoiseSource(key=NoiseKey.from_seed(0)))

    return make
