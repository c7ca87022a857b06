"""Commands that run in several processes with torchrun."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from record import recorded
from safetensors.numpy import load_file
from tiny_wavelet import TINY

from dpbench.benchmark.processes import Processes, join_processes
from dpbench.core.errors import UNFINISHED, DpbenchError
from dpbench.core.files import read_json
from dpbench.privacy.world import World

TESTS = Path(__file__).parents[1]


def torchrun(out: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """`dpbench_run` in two processes."""
    return start(
        ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"], out, *arguments, **environment
    )


def dpbench_run(out: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a tiny trial."""
    return start([], out, *arguments, **environment)


def start(starter: list[str], out: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    command = [
        sys.executable, "-m", *starter, "dpbench", "run",
        "--plugin", str(TESTS / "plugin_tiny.py"), "--method", "wavelet", "--dataset", "tiny",
        "--public", "tiny-public",
        "--samples", "10", "--delta", "1e-6", "--device", "cpu", "--metrics", "brightness",
        "--references", "none", "--out", str(out),
        *(f"--set={key}={value}" for key, value in TINY.items()), *arguments,
    ]  # fmt: skip
    variables = os.environ | {"PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1", "COLUMNS": "200"} | environment
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout, done.stderr


def test_two_processes_write_one_row(tiny: Path) -> None:
    code, printed, progress = torchrun(tiny, "--references", "public")
    assert code == 0, progress
    rows = pd.read_csv(tiny / "leaderboard.csv")
    assert rows["epsilon"].tolist() == [0, 1]
    assert rows["device"].tolist() == ["2 × cpu"] * 2
    assert set(rows["accounting"]) == {"verified"}
    assert printed.count("tiny, 16×16") == 1
    assert progress.count("[1/2]") == 1
    assert len(recorded()) == 1
    assert not list(tiny.rglob("checkpoints"))
    for path in tiny.rglob("ledger.json"):
        for mechanism in read_json(path)["mechanisms"]:
            assert mechanism["releases_spent"] == mechanism["releases_planned"]
    assert all(load_file(path) for path in tiny.rglob("model.safetensors"))


def test_killed_process_stops_the_others_and_the_next_command_resumes(tiny: Path) -> None:
    """With --gpus, which starts the processes itself, a run continues that torchrun started, as it has as many."""
    code, _, progress = torchrun(tiny, DPBENCH_KILL="3")
    assert code not in (0, None), progress
    assert list(tiny.rglob("checkpoints/fit/*.pt"))
    code, _, progress = dpbench_run(tiny, "--gpus", "2")
    assert code == 0, progress
    assert "continues an interrupted attempt" in next(tiny.rglob("log.txt")).read_text()
    assert "code or environment changed" not in progress
    assert pd.read_csv(tiny / "leaderboard.csv")["device"].tolist() == ["2 × cpu"]
    assert len(recorded()) == 1


def test_another_number_of_processes_starts_a_new_private_run_under_the_same_plan(tiny: Path) -> None:
    code, _, progress = dpbench_run(tiny, "--gpus", "2", DPBENCH_KILL="3")
    assert code == UNFINISHED, progress
    before = read_json(next(tiny.rglob("ledger.json")))
    assert list(tiny.rglob("checkpoints/fit/*.pt"))
    code, _, progress = dpbench_run(tiny)
    assert code == 0, progress
    assert "code or environment changed since the interruption; it starts from the beginning, as another" in progress
    after = read_json(next(tiny.rglob("ledger.json")))
    planned = [[{**m, "releases_spent": 0} for m in ledger["mechanisms"]] for ledger in (before, after)]
    assert planned[0] == planned[1]
    assert all(m["releases_spent"] == m["releases_planned"] for m in after["mechanisms"])
    row = pd.read_csv(tiny / "leaderboard.csv").iloc[0]
    assert (row["device"], row["accounting"]) == ("cpu", "verified")
    assert row["epsilon_spent"] <= row["epsilon"]
    assert len(recorded()) == 2


def test_one_process_needs_no_torchrun() -> None:
    with join_processes("cpu") as processes:
        assert processes == Processes("cpu", World(0, 1))
        processes.barrier()
        assert processes.broadcast([1, "a"]) == [1, "a"]
        with processes.rank_zero_first():
            pass


def test_processes_sharing_a_device_raise_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("dpbench.benchmark.processes.resolve_device", lambda name: name)
    with pytest.raises(DpbenchError, match="several processes cannot share device 'cuda:0'"), join_processes("cuda:0"):
        pass
