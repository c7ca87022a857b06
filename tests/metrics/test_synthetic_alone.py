"""Metrics that do not compare with the test split extract no features of it."""

from __future__ import annotations

import pytest
import torch
from image_fixtures import PixelFeatures
from temporary import temporary

from dpbench.core.registries import EXTRACTORS, METRICS

OF_DPIMAGEBENCH = [f"dpimagebench-{name}" for name in ("fid", "inception-score", "precision-recall")]


@pytest.mark.parametrize("name", ["inception-score", "fid-train", *OF_DPIMAGEBENCH])
@pytest.mark.filterwarnings("ignore::dpbench.evaluation.caveats.Caveat")
def test_the_test_split_is_not_read(name: str, evaluation, make_images) -> None:
    synthetic, reference, train = (
        make_images(torch.rand(30, 6, generator=torch.Generator().manual_seed(seed)).view(torch.uint8)[..., None, None])
        for seed in range(3)
    )
    with temporary(EXTRACTORS, dict.fromkeys(("inception", "pytorch-fid"), PixelFeatures)):
        values = METRICS.get(name)().compute(evaluation(synthetic, reference, train))
    assert values.keys() == {column.name for column in METRICS.get(name).columns}
    assert sorted(synthetic.asked) == list(range(30))
    assert not reference.asked
