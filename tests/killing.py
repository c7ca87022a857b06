"""Kills a run at a chosen moment, and checks that what continues it has lost nothing."""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from record import recorded

import dpbench
from dpbench.core.files import TEMPORARY, read_json
from dpbench.results.trial_folder import TrialFolder

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def in_a_child(work: Callable[[], object]) -> int:
    """The process number of a fork of this process that does the work, and then ends."""
    child = os.fork()
    if child:
        return child
    try:
        torch.set_num_threads(1)  # the threads of the parent are not there any more
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def was_killed(child: int) -> bool:
    """Waits for a child.

    Raises:
        AssertionError: it ended with an error.
    """
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ended in (0, -signal.SIGKILL)
    return ended != 0


def kill_before_change(number: int, root: Path) -> None:
    """From now on: kills this process before its k-th change of a file or folder below `root`, counted from 1."""
    left = number

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES
        if (opened or event in CHANGES) and str(arguments[0]).startswith(str(root)):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def check_whole(out: Path, key: str) -> None:
    """Checks that a trial is finished, with one private run in the record, every release spent, and whole files."""
    [path] = out.glob("*/*/*")
    assert path.name == key
    folder = TrialFolder(path)
    record = folder.read(key)
    assert record is not None
    assert folder.is_finished
    assert record.accounting == "verified"
    assert [run["key"] for run in recorded()].count(key) == 1
    for mechanism in read_json(path / "ledger.json")["mechanisms"]:
        assert mechanism["releases_spent"] == mechanism["releases_planned"]
    assert len(folder.samples(record)) == folder.read_scores().protocol["n_samples"]
    folder.check_model_and_ledger(record)
    assert not [left for left in path.rglob("*") if left.name.startswith(TEMPORARY)]
    assert not list(path.rglob("checkpoints"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert dpbench.evaluate_all(out, device="cpu", metrics=["brightness"])["key"].tolist() == [key]
