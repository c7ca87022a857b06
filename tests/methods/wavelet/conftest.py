import pytest
import torch

from dpbench.core.cache import PublicCache
from dpbench.core.context import RunContext


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> PublicCache:
    return PublicCache(tmp_path_factory.mktemp("public"))


@pytest.fixture
def run(cache) -> RunContext:
    """A run that shares cached public pretraining with all tests of this folder."""
    torch.manual_seed(0)
    return RunContext("cpu", torch.Generator().manual_seed(0), cache)
