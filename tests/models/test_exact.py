"""Plain fp32 evaluation inside `exact`, independently of the surrounding precision."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from dpbench.models.exact import exact


@pytest.fixture(autouse=True)
def tf32() -> Iterator[None]:
    """TF32 is allowed before and after."""
    switches = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [switch.allow_tf32 for switch in switches]
    for switch in switches:
        switch.allow_tf32 = True
    yield
    for switch, allowed in zip(switches, before, strict=True):
        switch.allow_tf32 = allowed


def test_exact_disables_lower_precision_and_restores_it() -> None:
    x = torch.full((1, 1), 1 + 2**-12, requires_grad=True)  # 1 in bf16
    with torch.autocast("cpu", torch.bfloat16), exact(torch.device("cpu")):
        y = x @ x
        assert not torch.backends.cuda.matmul.allow_tf32
        assert not torch.backends.cudnn.allow_tf32
        assert torch.backends.cudnn.deterministic
        assert not torch.backends.cudnn.benchmark
    assert y.dtype == torch.float32
    assert float(y) > 1
    assert not y.requires_grad
    assert torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cudnn.allow_tf32


def test_settings_are_restored_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), exact(torch.device("cpu")):
        _ = 1 / 0
    assert torch.backends.cuda.matmul.allow_tf32
