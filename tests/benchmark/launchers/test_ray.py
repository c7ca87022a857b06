"""Trials on a Ray cluster of several processes on this machine: retried when a worker is killed, and continued."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from recipes import check_ledgers, preview, run
from record import recorded
from tiny_wavelet import TINY

from dpbench.core.errors import DpbenchError, NotInstalled
from dpbench.core.progress_lines import ProgressLines
from dpbench.privacy.stepper import DPSGDStepper
from dpbench.training import loop


@pytest.fixture
def cluster(out: Path) -> Iterator[Any]:
    """A cluster with two CPUs, whose processes have the environment of this test."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        yield ray
    finally:
        ray.shutdown()


def kill_a_task_that_trains(out: Path) -> None:
    """Kills the process of Ray above the first worker that has stored a private step."""
    while not list(out.rglob("checkpoints/fit/*.pt")):
        time.sleep(0.05)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"_run_on_node" in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
                return
        except OSError:
            continue  # it has ended


@pytest.fixture
def stored_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step is stored, in workers; see `plugin_tiny`."""
    for owner, name in ((loop, "CHECKPOINT_SECONDS"), (DPSGDStepper, "__next__")):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # the plugin changes them in this process, too
    monkeypatch.setenv("DPBENCH_KILL", "100000")


@pytest.mark.usefixtures("stored_steps")
def test_a_task_whose_process_is_killed_under_load_continues(out: Path, cluster: Any) -> None:
    lines: list[str] = []
    killer = threading.Thread(target=kill_a_task_that_trains, args=(out,))
    killer.start()
    settings = TINY | {"steps": 60}
    rows = run(out, settings=settings, seeds=3, launcher="ray", display=ProgressLines(lines.append))
    killer.join()
    assert rows["seed"].tolist() == [0, 1, 2]
    check_ledgers(out, 3)
    assert len(recorded()) == 3  # the one that was lost is the same private run
    starts = [line.split("]")[0] for line in lines if " on " in line and line.startswith("  [")]
    assert starts.count("  [1/3, public") == 1
    assert len(starts) == 1 + 3 + 1
    assert not list(out.rglob("checkpoints"))


@pytest.mark.usefixtures("cluster")
def test_options_of_tasks_that_do_not_exist_are_named(out: Path) -> None:
    fake: dict[str, Any] = {"methods": "fake", "settings": {}}
    run(out, **fake)
    with pytest.raises(DpbenchError, match=r"--job: .*num_cpu\b"):
        run(out, launcher="ray", job={"num_cpu": 4}, force=True, **fake)
    check_ledgers(out, 1)
    assert len(recorded()) == 1


def test_a_dry_run_names_such_options_without_a_cluster(out: Path) -> None:
    ray = pytest.importorskip("ray")
    with pytest.raises(DpbenchError, match=r"--job: .*num_cpu\b"):
        preview(out, launcher="ray", job={"num_cpu": 4})
    preview(out, launcher="ray", job={"num_cpus": 4})
    assert not ray.is_initialized()


def test_ray_that_is_not_installed_is_named(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(NotInstalled, match=r"ray is not installed; `pip install 'dpbench\[ray\]'`"):
        run(out, launcher="ray")
