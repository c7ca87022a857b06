"""The plans of `paper` presets against what the papers say, and their noise against numbers computed without dpbench.

DP-SGD noise: the multiplier at which dp-accounting's PLD accountant on a grid of 1e-4 ε, and opacus' RDP accountant for
comparison, give ε. Published code mostly uses RDP, so its multipliers are a few percent larger. One release over all
records: the analytic Gaussian mechanism (Balle and Wang, arXiv 1805.06530).
"""

from __future__ import annotations

import math

import pytest
from preset_plans import preset_plan
from scipy.optimize import brentq
from scipy.stats import norm

from dpbench.core.specs import Budget
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.mechanisms.mechanism import DPSGD, NoisySum
from dpbench.privacy.mechanisms.nearest_mean import NearestMean

MNIST = 60_000
FACES = 162_770

RELEASES = {
    "dpdm": ("training", DPSGD, 4096 / MNIST, round(300 * MNIST / 4096), 1.0),  # 300 epochs of batches of 4,096, clip 1
    "dp-sgd": ("training", DPSGD, 4096 / MNIST, round(300 * MNIST / 4096), 1.0),
    "wavelet": ("finetune", DPSGD, 4096 / FACES, 1000, 1.0),  # ours: the paper states neither
    "dp-rdm": ("retrieval", NearestMean, 0.01, 1000, 1.0),  # of the published example
    "dpagg-ti": ("embeddings", NoisySum, 1.0, 1, 1.0),
    "dp-merf": ("mean embedding", NoisySum, 1.0, 1, math.sqrt(2**2 + 0.1**2)),  # features of norm 1, of two records
    "dp-ntk": ("mean embedding", NoisySum, 1.0, 1, math.sqrt(1 + 0.1**2)),
    "dp-kernel": ("mean embedding", NoisySum, 600 / MNIST, 20_000, math.sqrt(1 + 0.1**2)),  # every tenth step
}
"""Method -> its only mechanism: name, kind, sampling rate, releases, clip."""

NOISE = {
    ("dpdm", 1e-5, 1.0): (16.923, 18.350),
    ("dpdm", 1e-5, 10.0): (2.3807, 2.5146),
    ("dpdm", 1 / (MNIST * math.log(MNIST)), 1.0): (18.772, 20.167),
    ("dpdm", 1 / (MNIST * math.log(MNIST)), 10.0): (2.5322, 2.6629),
    ("wavelet", 1 / (FACES * math.log(FACES)), 1.0): (3.6020, 3.8478),
    ("wavelet", 1 / (FACES * math.log(FACES)), 10.0): (0.7871, 0.8179),
}
"""(Method, δ, ε) -> noise multiplier of DP-SGD by PLD, by RDP. δ is DPDM's, or 1 / (n ln n)."""


@pytest.mark.parametrize("method", RELEASES)
def test_plan_has_the_published_releases(method: str) -> None:
    (mechanism,) = preset_plan(method, "paper").mechanisms
    name, kind, rate, releases, clip = RELEASES[method]
    assert (mechanism.name, type(mechanism), mechanism.releases) == (name, kind, releases)
    assert mechanism.sampling_rate == pytest.approx(rate)
    assert mechanism.clip == pytest.approx(clip)
    assert mechanism.noise_multiplier is None  # the whole budget
    assert mechanism.schedule == ()


def test_finetuning_of_a_public_model_is_accounted_for_as_training_from_scratch() -> None:
    assert preset_plan("dp-sgd", "paper") == preset_plan("dpdm", "paper")


@pytest.mark.parametrize(("method", "delta", "epsilon"), NOISE)
def test_dp_sgd_has_the_noise_that_other_accountants_find(method: str, delta: float, epsilon: float) -> None:
    plan = calibrate(preset_plan(method, "paper"), Budget(epsilon, delta))
    (mechanism,) = plan.mechanisms
    by_pld, by_rdp = NOISE[method, delta, epsilon]
    assert mechanism.noise_multiplier == pytest.approx(by_pld, rel=5e-3)
    assert 0.9 * by_rdp < mechanism.noise_multiplier < by_rdp
    assert mechanism.noise_scale_at(1) == mechanism.noise_multiplier * mechanism.clip


def test_dp_rdm_has_the_published_noise_at_the_published_cost() -> None:
    """σ = 0.2 on means of 18 unit vectors costs ε = 0.997 by Rényi accounting at δ = 1e-7, and 0.928 by PLD."""
    plan = calibrate(preset_plan("dp-rdm", "paper"), Budget(0.928, 1e-7))
    (mechanism,) = plan.mechanisms
    assert mechanism.noise_scale_at(1) / 18 == pytest.approx(0.2, rel=5e-3)
    assert plan.epsilon_rdp == pytest.approx(0.997, rel=5e-3)


@pytest.mark.parametrize("method", ["dp-merf", "dpagg-ti"])
@pytest.mark.parametrize("delta", [1e-5, 1 / (MNIST * math.log(MNIST))])
@pytest.mark.parametrize("epsilon", [1.0, 10.0])
def test_one_sum_has_the_noise_of_the_analytic_gaussian_mechanism(method: str, epsilon: float, delta: float) -> None:
    def excess(sigma: float) -> float:
        far = math.exp(epsilon) * norm.cdf(-0.5 / sigma - epsilon * sigma)
        return norm.cdf(0.5 / sigma - epsilon * sigma) - far - delta

    (mechanism,) = calibrate(preset_plan(method, "paper"), Budget(epsilon, delta)).mechanisms
    assert mechanism.noise_multiplier == pytest.approx(brentq(excess, 0.05, 50.0), rel=5e-3)


def test_dp_merf_has_the_noise_of_a_record_replaced_by_another() -> None:
    """As published: twice the sensitivity of adding or removing a record, which the accountant assumes."""
    (mechanism,) = calibrate(preset_plan("dp-merf", "paper"), Budget(1.0, 1e-5)).mechanisms
    assert mechanism.noise_multiplier == pytest.approx(3.7306, rel=5e-3)  # the known value for sensitivity 1
    assert mechanism.noise_scale_at(1) == pytest.approx(3.7306 * math.sqrt(4.01), rel=5e-3)
