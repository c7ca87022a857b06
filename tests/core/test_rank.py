"""Detection of rank 0 among several processes."""

from __future__ import annotations

import pytest

from dpbench.core.rank import is_rank_zero


@pytest.mark.parametrize(("rank", "expected"), [(None, True), ("0", True), ("1", False), ("10", False)])
def test_rank_variable_of_torchrun_is_used(monkeypatch: pytest.MonkeyPatch, rank: str | None, expected: bool) -> None:
    monkeypatch.delenv("RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    assert is_rank_zero() is expected
