from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import kstest
from torch import Tensor
from vaults import SIGMAS, Images, Untouchable, a_sum, pixels, vault

from dpbench.core.errors import PrivacyError
from dpbench.core.specs import Batch
from dpbench.privacy.accounting.events import LaplaceEvent
from dpbench.privacy.mechanisms.laplace import LaplaceSum


def counts(**settings) -> LaplaceSum:
    """A `LaplaceSum` called "counts" without noise, unless told otherwise."""
    return LaplaceSum(**{"name": "counts", "clip": 1.0, "noise_multiplier": 0.0, **settings})


def by_brightness(batch: Batch) -> Tensor:
    """[b, 3]; the brighter a record, the larger its vector."""
    return batch.images[:, 0, 0, :3].float()


def test_it_is_accounted_for_as_laplace_noise():
    assert counts(noise_multiplier=1.5, rate=0.1, count=4).events() == [LaplaceEvent(1.5, 0.1, 4)]


@pytest.mark.parametrize("value", [0.0, 1e-3, 7.0, 1e20, math.inf, math.nan])
def test_no_record_moves_the_sum_by_more_than_the_clip_in_l1(value):
    images = torch.zeros(6, 1, 4, 4, dtype=torch.uint8)
    images[0] = 1

    def adversarial(batch: Batch) -> Tensor:
        return torch.where(batch.images.flatten(1)[:, :5] > 0, torch.tensor([value, -value, value, value, 0.0]), 0.0)

    total = vault(Images(images), counts(clip=2.0)).laplace_sum("counts", adversarial)
    expected = 2.0 if math.isfinite(value) and value > 1 else 4 * value if value < 1 else 0.0
    assert float(total.abs().sum()) == pytest.approx(expected, rel=1e-5)


def test_dense_and_sparse_contributions_are_clipped_alike():
    dense = vault(Images(pixels(20)), counts(clip=100.0)).laplace_sum("counts", by_brightness)
    sparse = vault(Images(pixels(20)), counts(clip=100.0)).laplace_sum("counts", lambda b: by_brightness(b).to_sparse())
    values = pixels(20)[:, 0, 0, :3].float()
    expected = values * (100 / values.sum(1, keepdim=True)).clamp(max=1)
    assert torch.allclose(dense, expected.sum(0), rtol=1e-4)
    assert torch.allclose(dense, sparse, rtol=1e-4)


def test_the_noise_is_laplace_noise_of_multiplier_times_clip():
    private = vault(Images(pixels(3)), counts(clip=0.5, noise_multiplier=3.0))
    noise = private.laplace_sum("counts", lambda batch: torch.zeros(len(batch), 20_000))
    assert kstest(noise.numpy(), "laplace", args=(0, 1.5)).pvalue > 1e-6
    assert abs(float(noise.mean())) < SIGMAS * 1.5 * math.sqrt(2 / 20_000)


@pytest.mark.parametrize(
    ("name", "match"), [("other", "no mechanism 'other'"), ("sum", "planned as NoisySum, not as LaplaceSum")]
)
def test_queries_outside_the_plan_are_refused_before_a_record_is_read(name, match):
    private = vault(Untouchable(pixels(5)), counts(), a_sum())
    with pytest.raises(PrivacyError, match=match):
        private.laplace_sum(name, by_brightness)


def test_one_release_too_many_and_records_that_mix_are_refused():
    private = vault(Images(pixels(20)), counts(count=2))
    with pytest.raises(PrivacyError):
        private.laplace_sum("counts", lambda batch: by_brightness(batch) - by_brightness(batch).mean(0))
    private.laplace_sum("counts", by_brightness)
    private.laplace_sum("counts", by_brightness)
    with pytest.raises(PrivacyError, match="all 2 planned releases of 'counts' are spent"):
        private.laplace_sum("counts", by_brightness)
