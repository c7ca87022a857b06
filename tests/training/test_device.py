"""Selection, validation and description of devices."""

from __future__ import annotations

import pytest
import torch

from dpbench.core.errors import DpbenchError
from dpbench.training.device import describe_device, resolve_device


def test_auto_selects_an_available_device() -> None:
    torch.zeros(1, device=resolve_device("auto"))


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cpu:1", "cuda:99", ""])
def test_missing_devices_raise_an_error(name: str) -> None:
    with pytest.raises(DpbenchError, match="device"):
        resolve_device(name)


def test_apples_gpus_are_refused_because_they_have_no_fp64() -> None:
    with pytest.raises(DpbenchError, match="fp64, which private queries need; use --device cpu"):
        resolve_device("mps")


def test_a_cpu_is_described_by_its_name() -> None:
    assert describe_device("cpu") == "cpu"
