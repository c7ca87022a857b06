from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from vaults import a_sum, planned, steps

from dpbench.core.errors import DpbenchError, PrivacyError
from dpbench.core.specs import Budget
from dpbench.privacy.accounting.composition import epsilon_pld
from dpbench.privacy.calibration import calibrate
from dpbench.privacy.ledger import Ledger, Receipt
from dpbench.privacy.mechanisms.mechanism import DPSGD, NoisySum
from dpbench.privacy.mechanisms.sanitised import SanitisedGradients
from dpbench.privacy.plan import Plan


def on_disk(path: Path) -> dict[str, int]:
    return {m["name"]: m["releases_spent"] for m in json.loads(path.read_text(encoding="utf-8"))["mechanisms"]}


def test_every_release_is_on_disk_when_its_receipt_is_handed_out(tmp_path):
    path = tmp_path / "trial" / "ledger.json"
    ledger = Ledger(planned(a_sum(count=2), steps(10, steps=3)), path)
    assert ledger.spend(ledger.require("sum", NoisySum)) == Receipt("sum", 1, 2)
    assert on_disk(path) == {"sum": 1, "steps": 0}
    assert ledger.spend(ledger.require("steps", DPSGD)) == Receipt("steps", 1, 3)
    assert on_disk(path) == {"sum": 1, "steps": 1}


def test_a_release_that_cannot_be_written_down_counts_but_has_no_receipt(tmp_path):
    (tmp_path / "file").write_text("in the way")
    ledger = Ledger(planned(a_sum(count=2)), tmp_path / "file" / "ledger.json")
    with pytest.raises(DpbenchError, match="cannot write"):
        ledger.spend(ledger.plan["sum"])
    assert ledger.spent == {"sum": 1}


def test_what_is_not_planned_is_refused():
    ledger = Ledger(planned(a_sum()))
    with pytest.raises(PrivacyError, match="no mechanism 'other'"):
        ledger.require("other", NoisySum)
    with pytest.raises(PrivacyError, match="planned as NoisySum, not as DPSGD"):
        ledger.require("sum", DPSGD)


def test_one_release_more_than_planned_is_refused():
    ledger = Ledger(planned(a_sum(count=2)))
    for _ in range(2):
        ledger.spend(ledger.require("sum", NoisySum))
    with pytest.raises(PrivacyError, match="all 2 planned releases of 'sum' are spent"):
        ledger.require("sum", NoisySum)
    with pytest.raises(PrivacyError, match="spent"):
        ledger.spend(ledger.plan["sum"])


def test_receipts_that_differ_from_the_plan_fail_the_run():
    ledger = Ledger(planned(a_sum(), steps(10, steps=3)))
    ledger.spend(ledger.plan["sum"])
    for _ in range(2):
        ledger.spend(ledger.plan["steps"])
    with pytest.raises(PrivacyError, match=r"3 releases of 'steps', the receipts say 2"):
        ledger.check_complete()
    ledger.spend(ledger.plan["steps"])
    ledger.check_complete()


def test_the_empty_plan_is_complete_and_refuses_everything():
    ledger = Ledger(planned())
    ledger.check_complete()
    with pytest.raises(PrivacyError, match="names none"):
        ledger.require("sum", NoisySum)


def test_unverified_is_written_down_at_once_and_for_good(tmp_path):
    path = tmp_path / "ledger.json"
    ledger = Ledger(planned(a_sum()), path)
    assert ledger.accounting == "verified"
    ledger.mark_unverified("a look at the labels")
    assert json.loads(path.read_text())["accounting"] == "unverified"
    ledger.spend(ledger.plan["sum"])
    assert ledger.accounting == "unverified"
    assert json.loads(path.read_text())["unverified"] == ["a look at the labels"]


def test_the_file_says_what_was_planned_and_what_it_costs(tmp_path):
    ledger = Ledger(calibrate(Plan(a_sum(noise_multiplier=None, clip=2.5)), Budget(1.0, 1e-5)), tmp_path / "l.json")
    ledger.spend(ledger.plan["sum"])
    stored = json.loads((tmp_path / "l.json").read_text())
    assert stored == ledger.as_dict()
    assert (stored["epsilon"], stored["delta"], stored["epsilon_planned"]) == (1.0, 1e-5, ledger.plan.epsilon)
    [mechanism] = stored["mechanisms"]
    assert mechanism.items() >= {"kind": "NoisySum", "clip": 2.5, "sampling_rate": 1.0, "releases_planned": 1}.items()


def test_the_non_private_reference_is_written_as_infinite(tmp_path):
    ledger = Ledger(calibrate(Plan(a_sum(noise_multiplier=None)), Budget(float("inf"), 1e-5)), tmp_path / "l.json")
    ledger.spend(ledger.plan["sum"])
    assert json.loads((tmp_path / "l.json").read_text())["epsilon_planned"] == "inf"


def test_epsilon_spent_grows_to_the_plans_and_never_understates():
    plan = calibrate(Plan(steps(500, expected_batch=20, steps=30, noise_multiplier=1.0)), Budget(50.0, 1e-5))
    ledger = Ledger(plan)
    assert ledger.epsilon_spent() == 0
    shown = []
    for count in range(1, 31):
        ledger.spend(plan["steps"])
        if count in (1, 7, 30):
            shown.append(ledger.epsilon_spent())
            assert shown[-1] >= epsilon_pld(plan["steps"].events(count), 1e-5) * (1 - 1e-6)
    assert shown == sorted(shown)
    assert shown[-1] == pytest.approx(plan.epsilon, rel=1e-3)


def test_progress_never_shows_more_than_the_budget():
    """On the rough grid, the ε of all these steps is above 10."""
    gradients = SanitisedGradients(name="g", clip=1.0, shards=200, samples=64, steps=4000)
    plan = calibrate(Plan(gradients), Budget(10.0, 1.6e-6))
    ledger = Ledger(plan)
    ledger.spent["g"] = 4000
    assert epsilon_pld(plan["g"].events(4000), 1.6e-6, near=plan.epsilon) > 10
    assert ledger.progress() == "ε 10.00 of 10"


def test_epsilon_spent_of_long_mechanisms_rounds_up():
    ledger = Ledger(planned(steps(500, expected_batch=20, steps=100, noise_multiplier=1.0)))
    ledger.spend(ledger.plan["steps"])
    first = ledger.epsilon_spent()
    for _ in range(4):
        ledger.spend(ledger.plan["steps"])
    assert ledger.epsilon_spent() == first == epsilon_pld(ledger.plan["steps"].events(5), 1e-5, near=1.0)


def test_forfeited_releases_complete_the_plan_and_are_refused_afterwards(tmp_path):
    path = tmp_path / "ledger.json"
    ledger = Ledger(planned(a_sum(count=3), steps(10, steps=2)), path)
    ledger.spend(ledger.require("sum", NoisySum))
    ledger.forfeit("sum")
    with pytest.raises(PrivacyError, match="'sum' was forfeited after 1 of 3 releases"):
        ledger.require("sum", NoisySum)
    with pytest.raises(PrivacyError, match="forfeited"):
        ledger.forfeit("sum")
    with pytest.raises(PrivacyError, match=r"2 releases of 'steps'.*give up the rest by private.forfeit\('steps'\)"):
        ledger.check_complete()
    ledger.forfeit("steps")
    ledger.check_complete()
    mechanisms = json.loads(path.read_text())["mechanisms"]
    assert [(m["releases_planned"], m["releases_spent"], m["releases_forfeited"]) for m in mechanisms] == [
        (3, 1, 2),
        (2, 0, 2),
    ]


def test_an_attempt_counts_if_it_released_something_was_marked_or_gave_up_its_releases(tmp_path):
    plan = planned(a_sum(count=2))

    def counts(name: str, attempt: Callable[[Ledger], object]) -> bool:
        attempt(Ledger.at(tmp_path / name, plan))
        return Ledger.at(tmp_path / name, plan).released_before

    def give_up(ledger: Ledger) -> None:
        ledger.forfeit("sum")
        ledger.check_complete()

    assert not counts("idle", lambda ledger: None)
    assert counts("release", lambda ledger: ledger.spend(plan["sum"]))
    assert counts("mark", lambda ledger: ledger.mark_unverified("records were read"))
    assert counts("forfeit", give_up)


def test_forfeiting_what_is_spent_or_not_planned_is_refused_and_refunds_nothing():
    plan = calibrate(Plan(NoisySum(name="sum", clip=1.0, count=2), NoisySum(name="rest", clip=1.0)), Budget(1.0, 1e-5))
    ledger = Ledger(plan)
    ledger.spend(ledger.plan["rest"])
    for name, message in (("other", "no mechanism 'other'"), ("rest", "all 1 planned releases of 'rest' are spent")):
        with pytest.raises(PrivacyError, match=message):
            ledger.forfeit(name)
    ledger.forfeit("sum")
    assert ledger.as_dict()["epsilon_planned"] == plan.epsilon


def test_progress_says_what_is_spent_of_the_budget() -> None:
    ledger = Ledger(calibrate(Plan(NoisySum(name="sum", clip=1.0)), Budget(2.0, 1e-5)))
    assert ledger.progress() == f"ε 0.00 of {ledger.plan.budget.epsilon:g}"
    ledger.spend(ledger.plan.mechanisms[0])
    assert ledger.progress() == f"ε {ledger.plan.epsilon:.2f} of {ledger.plan.budget.epsilon:g}"
    assert Ledger(calibrate(Plan(NoisySum(name="sum", clip=1.0)), Budget(float("inf"), 1e-5))).progress() == "ε ∞"
