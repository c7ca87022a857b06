"""Which GPUs and how many threads workers get."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dpbench import RunRequest
from dpbench.benchmark.launchers import placement
from dpbench.benchmark.launchers.placement import places
from dpbench.core.errors import DpbenchError


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """16 cores and 4 GPUs."""
    monkeypatch.setattr(placement, "usable_cores", lambda: 16)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


def request(**options: Any) -> RunRequest:
    return RunRequest(**{"launcher": "local"} | options)


def gpus(found: list[dict[str, str]]) -> list[str]:
    return [place["CUDA_VISIBLE_DEVICES"] for place in found]


def test_one_worker_per_gpu_and_threads_divided() -> None:
    found = places(request(), "cuda", 100)
    assert gpus(found) == ["0", "1", "2", "3"]
    assert {place["OMP_NUM_THREADS"] for place in found} == {"4"}


def test_more_workers_share_gpus_and_fewer_tasks_need_fewer() -> None:
    assert gpus(places(request(workers=6), "cuda", 100)) == ["0", "1", "2", "3", "0", "1"]
    assert gpus(places(request(), "cuda", 2)) == ["0", "1"]


def test_several_gpus_for_each_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpus(places(request(gpus=2), "cuda", 100)) == ["0,1", "2,3"]
    assert gpus(places(request(gpus=3), "cuda", 100)) == ["0,1,2"]
    assert gpus(places(RunRequest(gpus=2), "cuda", 100)) == ["0,1"]  # trials one after the other
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b,GPU-c,GPU-d")
    assert gpus(places(request(gpus=2), "cuda", 100)) == ["GPU-a,GPU-b", "GPU-c,GPU-d"]
    with pytest.raises(DpbenchError, match="--gpus 5, but this machine has 4"):
        places(request(gpus=5), "cuda", 100)


def test_a_cpu_has_a_worker_for_every_four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    assert places(request(), "cpu", 100) == 4 * [{"OMP_NUM_THREADS": "4"}]
    assert places(request(gpus=2), "cpu", 100) == 2 * [{"OMP_NUM_THREADS": "4"}]
    assert places(request(workers=32), "cpu", 100) == 32 * [{"OMP_NUM_THREADS": "1"}]
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert places(request(workers=2), "cpu", 100) == 2 * [{"OMP_NUM_THREADS": "4"}]


def test_one_of_several_gpus_is_refused() -> None:
    with pytest.raises(DpbenchError, match="workers choose their GPUs themselves: --device cuda instead of cuda:1"):
        places(request(), "cuda:1", 100)
