"""Devices: chosen, refused, described."""

from __future__ import annotations

import pytest
import torch

from dpbench.core.errors import DpbenchError
from dpbench.training.device import describe_device, peak_memory_mb, resolve_device


def test_auto_takes_a_device_that_is_there() -> None:
    torch.zeros(1, device=resolve_device("auto"))


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cpu:1", "cuda:99", ""])
def test_absent_devices_are_refused(name: str) -> None:
    with pytest.raises(DpbenchError, match="device"):
        resolve_device(name)


def test_the_cpu_is_described_and_measured() -> None:
    assert describe_device("cpu") == "cpu"
    assert 10 < (peak_memory_mb("cpu") or 0) < 1e6
