"""The classical test on the small model: what its scores and its plan are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dpbench.core.progress import Silent
from dpbench.core.specs import Budget
from dpbench.privacy.auditing.small_model import NAME, QUERIES, SPEC, STEPS, many_scores, mechanism, run_plan


def test_all_queries_claim_the_same_with_the_same_noise() -> None:
    plans = [run_plan(query, Budget(1.0, 1e-5)) for query in QUERIES]
    assert len({plan.epsilon for plan in plans}) == 1
    assert len({tuple(plan[NAME].events()) for plan in plans}) == 1
    assert [event.count for event in plans[0][NAME].events()] == [STEPS]


@pytest.mark.parametrize("query", QUERIES)
def test_scores_tell_runs_with_the_record_from_those_without(query: str) -> None:
    """With next to no noise a run looks like one with the record exactly if it took part: three in four of them."""
    plan = run_plan(query, Budget(1.0, 1e-5))
    quiet = mechanism(query, SPEC.n_train // 2, STEPS, 0.05)
    present, absent = many_scores(query, replace(plan, mechanisms=(quiet,)), 60, "cpu", Silent())
    assert len(present) + len(absent) == 60
    assert (absent < 0).all()
    assert 0.35 < (present > 0).mean() <= 1  # outside once in 10⁷ tests
