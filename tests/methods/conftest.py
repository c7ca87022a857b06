from collections.abc import Callable

import pytest
import torch

from dpbench.contracts.small_sets import bars
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


@pytest.fixture(autouse=True)
def stable_weights(weights_depend_on_settings_alone: None) -> None:
    """For all tests of this folder."""


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
