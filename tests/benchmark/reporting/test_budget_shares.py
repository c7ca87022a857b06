"""A stored ledger, priced mechanism by mechanism."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dpbench import DPSGD, NoisySum, Plan, Segment, calibrate
from dpbench.benchmark.reporting.budget_shares import spent_by_mechanism
from dpbench.core.errors import DpbenchError
from dpbench.core.files import read_json
from dpbench.core.specs import Budget
from dpbench.privacy.accounting.composition import epsilon_pld
from dpbench.privacy.accounting.shares import shares
from dpbench.privacy.ledger import Ledger
from dpbench.privacy.plan import CalibratedPlan
from dpbench.results.stored_ledger import StoredLedger, segments_of

SCHEDULE = (Segment(releases=20, rate=0.5), Segment(releases=30, noise=2.0))


@pytest.fixture(scope="module")
def plan() -> CalibratedPlan:
    steps = DPSGD(name="steps", clip=1.0, n=1000, expected_batch=100, steps=50, schedule=SCHEDULE)
    return calibrate(Plan(NoisySum(name="mean", clip=3.0, noise_multiplier=8.0), steps), Budget(2.0, 1e-5))


def stored(path: Path, plan: CalibratedPlan, **spent: int) -> StoredLedger:
    ledger = Ledger.at(path, plan)
    for name, count in spent.items():
        for _ in range(count):
            ledger.spend(plan[name])
    return StoredLedger.read(path)


def test_a_ledger_is_priced_as_its_plan(tmp_path: Path, plan: CalibratedPlan) -> None:
    ledger = stored(tmp_path / "ledger.json", plan, mean=1, steps=50)
    priced = spent_by_mechanism(ledger)
    assert [spent.share for spent in priced] == pytest.approx(shares([m.events() for m in plan.mechanisms], 1e-5))
    exact = [epsilon_pld(m.events(), 1e-5) for m in plan.mechanisms]
    assert [spent.alone for spent in priced] == pytest.approx(exact, rel=0.05)
    assert ledger.epsilon_planned == plan.epsilon


def test_only_releases_that_were_made_are_priced(tmp_path: Path, plan: CalibratedPlan) -> None:
    ledger = stored(tmp_path / "ledger.json", plan, steps=25)
    noise = plan["steps"].noise_multiplier
    assert segments_of(ledger.mechanisms[1]) == [
        {"releases": 20, "rate": 0.05, "noise": noise},
        {"releases": 5, "rate": 0.1, "noise": 2 * noise},
    ]
    mean, steps = spent_by_mechanism(ledger)
    assert (mean.share, mean.alone, steps.share) == (0, 0, 1)


def test_a_mechanism_of_an_unknown_kind_has_no_price(tmp_path: Path, plan: CalibratedPlan) -> None:
    ledger = stored(tmp_path / "ledger.json", plan, mean=1)
    foreign = replace(ledger.mechanisms[0], kind="Foreign")
    priced = spent_by_mechanism(replace(ledger, mechanisms=(foreign, ledger.mechanisms[1])))
    assert [spent.share for spent in priced] == [None, None]


def test_plans_without_noise_are_read(tmp_path: Path, plan: CalibratedPlan) -> None:
    free = Plan(*plan.mechanisms).without_noise()
    cost = dict.fromkeys(("epsilon", "epsilon_rdp", "mu", "epsilon_at_second_delta"), float("inf"))
    unbounded = replace(plan, mechanisms=free.mechanisms, **cost)
    ledger = stored(tmp_path / "ledger.json", unbounded, mean=1, steps=50)
    assert ledger.epsilon_planned == "inf"
    assert [spent.alone for spent in spent_by_mechanism(ledger)] == [float("inf")] * 2


WRONG_VALUES: dict[str, Callable[[dict[str, Any]], object]] = {
    "noise below 0": lambda steps: steps.update(noise_multiplier=-1),
    "noise that is no number": lambda steps: steps.update(noise_multiplier=float("nan")),
    "endless noise": lambda steps: steps.update(noise_multiplier=float("inf")),
    "no clip": lambda steps: steps.update(clip=0),
    "a rate of 0": lambda steps: steps.update(sampling_rate=0),
    "a rate above 1": lambda steps: steps.update(sampling_rate=1.5),
    "releases below 0": lambda steps: steps.update(releases_spent=-3),
    "releases beyond counting": lambda steps: steps.update(releases_spent=10**30),
    "a segment without noise": lambda steps: steps["schedule"][0].update(noise=0),
    "a segment with a rate above 1": lambda steps: steps["schedule"][0].update(rate=50),
    "a segment without releases": lambda steps: steps["schedule"][0].pop("releases"),
    "a segment that is a number": lambda steps: steps.update(schedule=[3]),
}


@pytest.mark.parametrize("wrong", WRONG_VALUES)
def test_values_that_no_mechanism_has_are_damage(tmp_path: Path, plan: CalibratedPlan, wrong: str) -> None:
    path = tmp_path / "ledger.json"
    stored(path, plan, steps=1)
    content = read_json(path)
    WRONG_VALUES[wrong](content["mechanisms"][1])
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DpbenchError, match=r"ledger\.json is damaged \(mechanisms\.1"):
        StoredLedger.read(path)


def test_damaged_ledgers_are_named(tmp_path: Path) -> None:
    (tmp_path / "ledger.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DpbenchError, match=r"ledger.json is damaged"):
        StoredLedger.read(tmp_path / "ledger.json")
