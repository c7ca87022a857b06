"""Random weights of Inception, which take seconds to make."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from perf._inception import random_inception


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the random weights in both formats."""
    return tmp_path_factory.mktemp("inception")


@pytest.fixture(scope="session")
def theirs(made: Path) -> FeatureExtractorInceptionV3:
    """torch-fidelity's network, with random weights that it loads as it loads the published ones."""
    return random_inception(made)
