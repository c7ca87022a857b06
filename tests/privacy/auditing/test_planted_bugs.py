"""Bugs planted into the vault, and what catches each.

    bug                         caught by
    no clipping                 check before the first step; contributions of the audit; lower bound
    halved noise                noise of the audit; lower bound
    noise from one seed         noise of the audit (releases, or tensors of one, in common)
    shuffled batches            participation of the audit: batches that do not vary
    realised divisor            contributions and noise of the audit: not constant over batches
    skipped empty batch         noise of the audit: releases without any
    double-counted views        check before the first step; contributions of the audit; lower bound
    one step more than planned  count of the audit against plan and receipts
    one step less than planned  count of the audit against plan and receipts

A lower bound sees neither batches of a fixed size nor a realised divisor: they move it by less than its own looseness.
"""

from __future__ import annotations

import re

import planted
import pytest

from dpbench.core.errors import PrivacyError
from dpbench.privacy import checked_gradients
from dpbench.privacy.auditing.small_model import QUERIES, watch


def faults(query: str) -> str:
    return "; ".join(watch(query, "cpu")[1])


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A vault without its checks of per-example gradients, so that the audit alone is left."""
    for check in ("check_gradients", "check_engine"):
        monkeypatch.setattr(checked_gradients, check, lambda *args: None)


@pytest.mark.parametrize("query", QUERIES)
def test_nothing_is_found_where_nothing_is_planted(query: str) -> None:
    noise, found = watch(query, "cpu")
    assert found == []
    assert noise.value == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(
    ("query", "plant", "message"),
    [
        ("noisy_sum", planted.no_clipping, r"contribute other than the clip to noisy_sum, 2\.8\d+e\+04 times"),
        ("book-keeping", planted.halved_noise, r"has 0\.(49|50)\d* times the planned scale"),
        ("opacus", planted.one_seed_for_all_releases, "successive releases of opacus have noise in common"),
        ("book-keeping", planted.one_seed_for_all_releases, "depends on the release before"),
        ("vmap", planted.one_seed_for_all_tensors, "the tensors of a release of vmap have noise in common"),
        ("book-keeping", planted.shuffled_batches, "vary in size 0 times as much as Poisson samples"),
        ("noisy_sum", planted.shuffled_batches, "vary in size 0 times as much as Poisson samples"),
        ("book-keeping", planted.realised_divisor, "records contribute other than the clip to book-keeping"),
        ("opacus", planted.skipped_empty_batch, "releases of opacus have no noise"),
        ("vmap", planted.one_step_too_many, "vmap made 121 releases where 120 are planned"),
        ("book-keeping", planted.one_step_too_few, "book-keeping made 119 releases where 120 are planned"),
    ],
)
def test_the_audit_finds(query: str, plant: planted.Plant, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    assert re.search(message, faults(query))


@pytest.mark.parametrize(
    ("query", "plant"),
    [
        ("book-keeping", planted.no_clipping),
        ("opacus", planted.no_clipping),
        ("vmap", planted.no_clipping),
        ("book-keeping", planted.double_counted_views),
    ],
)
def test_the_check_before_the_first_step_finds(
    query: str, plant: planted.Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    with pytest.raises(PrivacyError, match="escapes its clip"):
        watch(query, "cpu")


@pytest.mark.parametrize(
    ("query", "plant", "times"),
    [
        ("book-keeping", planted.no_clipping, r"2\.8\d+e\+04"),
        ("opacus", planted.no_clipping, r"2\.8\d+e\+04"),
        ("book-keeping", planted.double_counted_views, r"(2|2\.0\d+|1\.9\d+)"),
    ],
)
def test_so_does_the_audit(
    query: str, plant: planted.Plant, times: str, unchecked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    assert re.search(f"records contribute other than the clip to {query}, {times} times", faults(query))
