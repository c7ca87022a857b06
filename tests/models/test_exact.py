"""Plain fp32 evaluation inside `exact`, independently of the surrounding precision."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from fp32_settings import settings, tf32_everywhere

from dpbench.models.exact import exact
from dpbench.models.precision import REDUCED, full_precision

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def tf32() -> Iterator[None]:
    """The calling program allows TF32."""
    with tf32_everywhere():
        yield


def test_exact_disables_lower_precision_and_restores_it() -> None:
    before, cudnn = settings(), torch.backends.cudnn
    flags = cudnn.enabled, cudnn.benchmark, cudnn.deterministic
    x = torch.full((1, 1), 1 + 2**-12, requires_grad=True)  # 1 in bf16
    with torch.autocast("cpu", torch.bfloat16), exact(CPU):
        y = x @ x
        assert not {*settings()} & {*REDUCED, "high", "medium", "True"}
        assert cudnn.deterministic
        assert not cudnn.benchmark
    assert y.dtype == torch.float32
    assert float(y) > 1
    assert not y.requires_grad
    assert settings() == before
    assert flags == (cudnn.enabled, cudnn.benchmark, cudnn.deterministic)


def test_full_precision_and_exact_go_together() -> None:
    before = settings()
    with full_precision(CPU), exact(CPU):
        assert not {*settings()} & {*REDUCED}
    with exact(CPU), full_precision(CPU):
        assert not {*settings()} & {*REDUCED}
    assert settings() == before


def test_settings_are_restored_after_an_error() -> None:
    before, deterministic = settings(), torch.backends.cudnn.deterministic
    with pytest.raises(ZeroDivisionError), exact(CPU):
        _ = 1 / 0
    assert settings() == before
    assert torch.backends.cudnn.deterministic == deterministic
