"""Full fp32 inside `full_precision`, whatever torch is told to compute fp32 in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from fp32_settings import NEW, settings

from dpbench.models.precision import REDUCED, _highest, full_precision

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def highest_afterwards() -> Iterator[None]:
    yield
    torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_reduced_precision_is_off_inside_and_back_after(precision):
    torch.set_float32_matmul_precision(precision)
    before = settings()
    with full_precision(CPU):
        assert not {*settings()} & {*REDUCED, "high", "medium", "True"}
    assert settings() == before
    assert torch.get_float32_matmul_precision() == precision  # which torch refuses where old and new settings disagree


@pytest.mark.skipif(not NEW, reason="settings of torch 2.9")
@pytest.mark.parametrize("precision", REDUCED)
def test_settings_of_single_operations_count(precision):
    part = torch.backends.mkldnn.matmul
    part.fp32_precision = precision
    with full_precision(CPU):
        assert part.fp32_precision == "ieee"
    assert part.fp32_precision == precision


def test_an_error_inside_brings_the_settings_back():
    torch.set_float32_matmul_precision("medium")
    before = settings()
    with pytest.raises(ZeroDivisionError), full_precision(CPU):
        raise ZeroDivisionError
    assert settings() == before


def test_older_torch_is_told_in_its_own_words():
    torch.set_float32_matmul_precision("medium")
    with _highest():
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cudnn.allow_tf32
    assert torch.get_float32_matmul_precision() == "medium"
    assert torch.backends.cudnn.allow_tf32


def test_autocast_is_off_inside():
    a = torch.randn(4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert (a @ a).dtype == torch.bfloat16
        with full_precision(CPU):
            assert (a @ a).dtype == torch.float32
