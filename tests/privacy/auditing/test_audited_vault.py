"""A vault with canaries: it answers as the vault does, and what is seen of its releases is what the plan says."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import planted
import pytest
import torch
from stepping import flat, linear, squares
from torch import Tensor, nn
from vaults import Images, a_sum, pixels, planned, steps

from dpbench.core.errors import ConfigError, PrivacyError
from dpbench.core.specs import Batch, Budget, DatasetSpec
from dpbench.privacy import checked_gradients
from dpbench.privacy.auditing.audited_vault import AuditedVault
from dpbench.privacy.auditing.canaries import CanaryRecords
from dpbench.privacy.auditing.canary_scores import Scores, simulated
from dpbench.privacy.auditing.findings import WHOLE_PLAN, of_vault
from dpbench.privacy.calibration import calibrate, priced
from dpbench.privacy.gradients.engines import ENGINES
from dpbench.privacy.mechanisms.choices import NoisyMax
from dpbench.privacy.mechanisms.laplace import LaplaceSum
from dpbench.privacy.mechanisms.mechanism import Mechanism, Segment
from dpbench.privacy.mechanisms.nearest_mean import NearestMean
from dpbench.privacy.noise import NoiseSource
from dpbench.privacy.noise_key import NoiseKey
from dpbench.privacy.plan import CalibratedPlan, Plan
from dpbench.privacy.stand_in import StandIn

SPEC = DatasetSpec("sensitive", 1, 4, 400, 1, ("a", "b", "c"), True)
COINS = np.random.default_rng(0).random(300) < 0.5
SUM = a_sum(noise_multiplier=0.02, clip=0.5, rate=0.5, count=3)
STEPS = steps(400, noise_multiplier=0.02, clip=0.1, expected_batch=100, steps=12)


def audited(*mechanisms: Mechanism, plan: CalibratedPlan | None = None, coins: np.ndarray = COINS) -> AuditedVault:
    """A vault whose noise is the same in every test run, so that bounds with little to spare are no matter of luck."""
    spec = replace(SPEC, n_train=max(400, len(coins)))
    records = CanaryRecords(Images(pixels(50)), spec, coins)
    return AuditedVault(records, plan or planned(*mechanisms), NoiseSource(key=NoiseKey.from_seed(3)))


def take_sums(vault: AuditedVault, count: int = 3) -> list[Tensor]:
    return [vault.noisy_sum("sum", lambda batch: flat(batch)) for _ in range(count)]


def take_steps(vault: AuditedVault, model: nn.Module | None = None, **options) -> None:
    model = model or linear()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in vault.dp_sgd("steps", model, squares, optimizer, torch.Generator().manual_seed(0), **options):
        pass


@pytest.mark.parametrize("engine", ENGINES)
def test_a_right_vault_has_no_faults(engine: str) -> None:
    vault = audited(SUM, STEPS)
    assert [total.shape for total in take_sums(vault)] == [(16,)] * 3
    take_steps(vault, engine=engine, views=2, micro_batch=14)
    for name, scores in vault.scores.items():
        assert list(scores.faults(vault.ledger.spent[name])) == []
        assert scores.noise.value == pytest.approx(1, abs=0.1)
        assert scores.contribution is not None
        assert scores.contribution.value == pytest.approx(1, abs=6 * scores.contribution.error)
    assert ((vault.scores["steps"].values > 0) <= COINS).all()  # noise is low: who looks in was sampled
    vault.ledger.check_complete()


def test_the_ordinary_records_train_the_model_as_ever() -> None:
    model, losses = linear(), []
    vault = audited(STEPS)
    losses.append(squares(model, Batch(pixels(50)), torch.Generator()).mean())
    take_steps(vault, model)
    assert squares(model, Batch(pixels(50)), torch.Generator()).mean() < losses[0]


def test_derived_records_keep_their_marks() -> None:
    vault = audited(SUM)
    derived = vault.derive(lambda batch: flat(batch) * (batch.labels is not None and batch.labels.max() < 3))
    for _ in range(3):
        derived.noisy_sum("sum", lambda batch: batch.derived)
    assert list(vault.scores["sum"].faults(vault.ledger.spent["sum"])) == []


def test_only_canary_records_can_be_audited() -> None:
    sensitive = Images(pixels(400))
    for records in (sensitive, StandIn(sensitive, SPEC)):
        with pytest.raises(PrivacyError, match=r"need public records \(CanaryRecords\)"):
            AuditedVault(records, planned(SUM))  # type: ignore[arg-type]


def test_the_vaults_refusals_stay() -> None:
    vault = audited(SUM, STEPS)
    with pytest.raises(PrivacyError, match="the plan has no mechanism 'other'"):
        vault.noisy_sum("other", flat)
    with pytest.raises(PrivacyError, match="mixes records"):
        vault.noisy_sum("sum", lambda batch: flat(batch) - flat(batch).mean(0))
    take_sums(vault)
    with pytest.raises(PrivacyError, match="all 3 planned releases"):
        vault.noisy_sum("sum", flat)


def test_simulated_canaries_score_as_those_of_a_vault() -> None:
    mechanism = steps(400, noise_multiplier=1.0, clip=0.1, expected_batch=100, steps=12)
    vault = audited(mechanism)
    take_steps(vault)
    scores, present = simulated([mechanism], 20_000, 1.0, np.random.default_rng(1))
    for side, coins in ((True, COINS), (False, ~COINS)):
        expected = scores[present == side]
        found = vault.scores["steps"].values[coins]
        assert abs(found.mean() - expected.mean()) < 5 * expected.std() / len(found) ** 0.5
        assert found.std() == pytest.approx(expected.std(), rel=0.3)


def test_findings_lie_below_the_claim_where_all_is_right() -> None:
    plan = priced(Plan(replace(SUM, noise_multiplier=2.0), replace(STEPS, noise_multiplier=1.5)), 1e-6)
    vault = audited(plan=plan)
    take_sums(vault)
    take_steps(vault)
    found = of_vault(vault, 0.999, 1.0)
    assert [f.subject for f in found] == ["sum", "steps", WHOLE_PLAN]
    assert [f.releases for f in found] == [3, 12, 15]
    assert found[-1].claimed == plan.epsilon
    for f in found:
        assert list(f.contradictions(0.999)) == []
        assert 0 <= f.by_epsilon <= f.by_curve < f.claimed


BIG = np.random.default_rng(1).random(6000) < 0.5


def test_forfeited_releases_are_no_faults() -> None:
    vault = audited(plan=priced(Plan(replace(SUM, noise_multiplier=2.0), replace(STEPS, noise_multiplier=1.5)), 1e-6))
    take_sums(vault, 1)
    vault.forfeit("sum")
    vault.forfeit("steps")
    found = of_vault(vault, 0.999, 1.0)
    assert [(finding.releases, finding.faults) for finding in found] == [(1, ()), (0, ()), (1, ())]
    assert found[0].noise is not None
    assert found[1].noise is None


@pytest.mark.parametrize("plant", [planted.halved_noise, planted.no_clipping])
def test_the_bound_alone_refutes_what_lets_more_through(plant: planted.Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = calibrate(Plan(a_sum(noise_multiplier=None)), Budget(4.0, 1e-6))
    plant(monkeypatch)
    vault = audited(plan=plan, coins=BIG)
    vault.noisy_sum("sum", lambda batch: flat(batch)[:, None])
    (found,) = of_vault(vault, 0.99, 0.0)
    assert found.by_curve > 4.0
    assert "ε is at least" in next(found.contradictions(0.99))


def test_the_bound_alone_refutes_views_that_count_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = calibrate(Plan(steps(6000, noise_multiplier=None, steps=2)), Budget(4.0, 1e-6))
    planted.double_counted_views(monkeypatch)
    for check in ("check_gradients", "check_engine"):
        monkeypatch.setattr(checked_gradients, check, lambda *args: None)
    vault = audited(plan=plan, coins=BIG)
    take_steps(vault, views=3)
    (found,) = of_vault(vault, 0.99, 0.0)
    assert found.by_curve > 4.0
    assert any(re.search(r"a canary contributes (3|2\.9)", fault) for fault in found.faults)


@pytest.mark.parametrize(
    ("plant", "message"),
    [
        (planted.halved_noise, "times the planned scale"),
        (planted.one_seed_for_all_releases, "noise in common"),
        (planted.one_step_too_many, "released 13 times; the plan says 12, the receipts say 12"),
        (planted.one_step_too_few, "released 11 times; the plan says 12, the receipts say 12"),
    ],
)
def test_faults_in_a_methods_own_phase(plant: planted.Plant, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    vault = audited(replace(STEPS, noise_multiplier=1.0))
    take_steps(vault)
    assert any(message in fault for fault in vault.scores["steps"].faults(vault.ledger.spent["steps"]))


def test_scores_of_releases_that_are_known() -> None:
    scores = Scores(a_sum(noise_multiplier=2.0, clip=0.5, count=2), np.array([True, False]))
    scores.see(np.array([0.0, 0.5, 0.0]))
    scores.see(np.array([0.0, 1.0, -0.5]))
    assert scores.values == pytest.approx([(1 + 3) / 8, (-1 - 3) / 8])
    half = Scores(a_sum(noise_multiplier=1.0, rate=0.5), np.array([True]))
    half.see(np.array([0.0, 2.0]))
    assert half.values == pytest.approx([np.log(0.5 + 0.5 * np.exp(1.5))])


def test_other_than_gaussian_queries_are_answered_but_not_audited() -> None:
    counts = LaplaceSum(name="counts", clip=1.0, noise_multiplier=0.0)
    pick = NoisyMax(name="pick", clip=1.0, noise_multiplier=0.0, candidates=2)
    near = NearestMean(name="near", clip=1.0, noise_multiplier=0.0, neighbours=400)
    with pytest.warns(UserWarning, match="'(counts|pick|near)' is not audited"):
        vault = audited(replace(SUM, noise_multiplier=2.0), counts, pick, near)
    ones = vault.derive(lambda batch: torch.ones_like(flat(batch)[:, :1]))
    assert ones.nearest_means("near", torch.zeros(1, 3, 1)).sum() == pytest.approx(1, rel=1e-4)
    assert vault.laplace_sum("counts", flat).shape == (16,)
    assert vault.noisy_max("pick", lambda batch: torch.tensor([0.1, 0.2]).repeat(len(batch), 1)) == 1
    take_sums(vault)
    assert [found.subject for found in of_vault(vault, 0.99, 0.0)] == ["sum"]
    with (
        pytest.warns(UserWarning, match="not audited"),
        pytest.raises(PrivacyError, match="there is nothing to audit"),
    ):
        audited(counts)


def test_a_schedule_is_refused() -> None:
    halves = (Segment(releases=1), Segment(releases=2, noise=0.5))
    with pytest.raises(ConfigError, match="an audit cannot deal with the schedule of 'sum'"):
        audited(replace(SUM, schedule=halves))
