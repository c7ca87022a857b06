from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from vaults import a_sum, steps

from dpbench.core.errors import ConfigError, PrivacyError
from dpbench.core.specs import Budget
from dpbench.privacy.accounting.composition import epsilon_pld
from dpbench.privacy.mechanisms.mechanism import DPSGD
from dpbench.privacy.plan import Plan
from dpbench.privacy.planner import KEPT, Candidate, Gradients, best, survey

N, DELTA = 60_000, 1e-6
TRAINING = steps(N, expected_batch=2048, steps=150, noise_multiplier=None)


SOME = Gradients(900_000, 0.3, 0.95, 0.3)


def found(epsilon: float, gradients: Gradients = SOME, plan: Plan = Plan(TRAINING), **options) -> list[Candidate]:  # noqa: B008
    return survey(plan, Budget(epsilon, DELTA), gradients, **options)


@pytest.mark.parametrize("clip", [0.5, 1e9])
def test_progress_is_what_a_noisy_step_on_a_quadratic_makes(clip: float) -> None:
    """1,500 private steps of the best size from one point, each by its own Poisson sample and noise."""
    random = torch.Generator().manual_seed(0)
    n, d, batch, multiplier = 400, 30, 60, 1.5 if clip < 1 else 0.0
    each = 0.4 + torch.randn(n, d, generator=random, dtype=torch.double)  # gradients of ½ mean ‖w - x_i‖²
    true = each.mean(0)
    clipped = each * (clip / each.norm(dim=1, keepdim=True)).clamp(max=1)
    h = clipped.mean(0)
    gradients = Gradients(
        d, h.norm().item(), clipped.norm(dim=1).square().mean().sqrt().item(), (true @ h / h.norm()).item()
    )
    candidate = Candidate(
        DPSGD(name="s", clip=clip, noise_multiplier=multiplier, n=n, expected_batch=batch, steps=7), gradients
    )

    taken = (torch.rand(1500, n, generator=random) < batch / n).double()
    noise = multiplier * clip * torch.randn(1500, d, generator=random, dtype=torch.double)
    seen = (taken @ clipped + noise) / batch
    along, squared = (seen @ true).mean(), seen.square().sum(1).mean()
    decrease = along**2 / (2 * squared)  # of the best step size, along / squared
    assert candidate.progress == pytest.approx(7 * 2 * decrease.item(), rel=0.03)


def test_more_noise_or_weights_make_a_step_worse_and_its_signal_better() -> None:
    mechanism, gradients = replace(TRAINING, noise_multiplier=2.0), Gradients(1000, 0.3, 1.0, 0.5)
    snr = Candidate(mechanism, gradients).snr
    assert Candidate(replace(mechanism, noise_multiplier=3.0), gradients).snr < snr
    assert Candidate(mechanism, replace(gradients, weights=2000)).snr < snr
    assert Candidate(mechanism, replace(gradients, signal=0.6)).snr == pytest.approx(2 * snr)


def test_a_step_over_all_records_without_noise_is_the_gradient() -> None:
    full = steps(N, noise_multiplier=0.0, steps=3)
    candidate = Candidate(full, Gradients(10, 0.3, 1.0, 0.5))
    assert candidate.snr == math.inf
    assert candidate.progress == pytest.approx(3 * 0.5**2)


def best_batch(epsilon: float, gradients: Gradients, plan: Plan) -> int:
    return best(found(epsilon, gradients, plan)).mechanism.expected_batch


def test_a_smaller_epsilon_asks_for_a_larger_batch() -> None:
    chosen = [best_batch(epsilon, SOME, Plan(TRAINING)) for epsilon in (0.3, 1)]
    assert chosen[0] > chosen[1]


def test_a_weaker_signal_or_more_weights_ask_for_a_larger_batch() -> None:
    plan, few = Plan(steps(2000, expected_batch=256, steps=32, noise_multiplier=None)), replace(SOME, weights=20)
    many = replace(SOME, weights=2000)
    assert best_batch(1, few, plan) < best_batch(1, many, plan) < best_batch(1, replace(many, signal=0.05), plan)


def test_every_candidate_keeps_to_the_compute_and_costs_the_budget() -> None:
    candidates = found(1.0)
    assert TRAINING.steps in [c.mechanism.steps for c in candidates if c.mechanism.expected_batch == 2048]
    for c in candidates:
        assert 0.9 * 2048 * 150 < c.mechanism.expected_batch * c.mechanism.steps <= 2048 * 150
        assert epsilon_pld(c.mechanism.events(), DELTA) == pytest.approx(1.0, rel=0.02)


def test_the_search_ends_where_little_is_left_on_either_side() -> None:
    progress = [c.progress / best(found(1.0)).progress for c in found(1.0)]
    assert [p < KEPT for p in progress] == [True, *[False] * (len(progress) - 2), True]
    sizes = [c.mechanism.expected_batch for c in found(1.0)]
    steps_up = [b / a for a, b in pairwise(sizes)]
    assert sorted({round(step, 2) for step in steps_up}) == [1.41, 2.0]


LITTLE = steps(100, expected_batch=50, steps=2, noise_multiplier=None)


def test_batches_stay_between_the_smallest_and_all_records() -> None:
    assert [c.mechanism.expected_batch for c in found(1.0, plan=Plan(LITTLE))] == [50, 71, 100]


def test_the_compute_can_be_given() -> None:
    more = found(1.0, plan=Plan(LITTLE), compute=210)
    assert {c.mechanism.expected_batch: c.mechanism.steps for c in more} == {50: 4, 71: 2, 100: 2}
    with pytest.raises(ConfigError, match="a compute of 49 records is less than a batch of 50"):
        found(1.0, plan=Plan(LITTLE), compute=49)


def test_other_mechanisms_of_the_plan_are_paid_for() -> None:
    alone = found(1.0, plan=Plan(LITTLE), compute=50)[0].mechanism
    beside = found(1.0, plan=Plan(a_sum(noise_multiplier=6.0), LITTLE), compute=50)[0].mechanism
    assert alone.noise_multiplier < beside.noise_multiplier
    with pytest.raises(PrivacyError):
        found(1.0, plan=Plan(a_sum(noise_multiplier=2.0), LITTLE), compute=50)


@pytest.mark.parametrize("plan", [Plan(a_sum(noise_multiplier=None)), Plan(TRAINING, replace(TRAINING, name="more"))])
def test_a_plan_without_one_dp_sgd_is_refused(plan: Plan) -> None:
    with pytest.raises(ConfigError, match=r"plans one DP-SGD mechanism; this plan has (none|2)"):
        found(1.0, plan=plan)
