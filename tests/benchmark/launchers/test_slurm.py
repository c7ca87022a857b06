"""Trials as jobs of submitit, in its executor of local processes; the same code submits them to SLURM."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from recipes import check_ledgers, preview, run
from record import recorded

from dpbench.benchmark.failures import TrialsFailed
from dpbench.benchmark.launchers import slurm
from dpbench.benchmark.launchers.progress_events import ShownEvents
from dpbench.core.errors import DpbenchError
from dpbench.core.progress_lines import ProgressLines


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs are processes of this machine."""
    pytest.importorskip("submitit")
    monkeypatch.setattr(slurm, "EXECUTOR", "local")


@pytest.mark.usefixtures("jobs")
def test_jobs_make_rows_and_failures_and_show_their_progress(out: Path) -> None:
    lines: list[str] = []
    changes = {"methods": ["fake", "fake[fail=crash]"], "settings": {}, "launcher": "slurm"}
    with pytest.raises(TrialsFailed, match="1 of 2 trials failed") as caught:
        run(out, display=ProgressLines(lines.append), **changes)
    assert caught.value.finished.rows["variant"].tolist() == [""]
    assert "RuntimeError: it broke" in str(caught.value.failures[0])
    check_ledgers(out, 1)
    assert len(recorded()) == 2
    assert any(line.startswith("  [1/2] on ") for line in lines)
    assert any(line.startswith("  [1/2] fitting: 1 in ") for line in lines)


@pytest.mark.usefixtures("jobs")
def test_options_of_jobs_that_do_not_exist_are_named(out: Path) -> None:
    fake: dict[str, Any] = {"methods": "fake", "settings": {}}
    run(out, **fake)
    with pytest.raises(DpbenchError, match=r"--job: .*slurm_partitoin"):
        run(out, launcher="slurm", job={"slurm_partitoin": "gpu"}, force=True, **fake)
    with pytest.raises(DpbenchError, match=r"--job: .*slurm_partitoin"):
        preview(out, launcher="slurm", job={"slurm_partitoin": "gpu"}, force=True, **fake)
    check_ledgers(out, 1)
    assert len(recorded()) == 1


def test_a_machine_without_slurm_is_one_line(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", "/nowhere")
    for act in (run, preview):
        with pytest.raises(DpbenchError, match=r"this machine has no SLURM \(srun is not found\); --launcher local"):
            act(out, launcher="slurm")


def test_jobs_that_slurm_rejects_are_one_line(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    (out.parent / "bin").mkdir()
    for name, text in {"srun": "exit 0", "sbatch": "echo 'sbatch: error: invalid partition: gpus' >&2; exit 1"}.items():
        (out.parent / "bin" / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (out.parent / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{out.parent / 'bin'}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(DpbenchError, match=r"SLURM rejects the jobs; is .*--job wrong.* invalid partition: gpus"):
        run(out, methods="fake", settings={}, launcher="slurm", job={"slurm_partition": "gpus"})


def test_a_full_disk_costs_the_progress_and_not_the_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_here(content: Any, send: Any) -> dict[str, Any]:
        send({"what": "say", "line": "fitting"})
        return {"error": None}

    monkeypatch.setattr(slurm, "run_here", run_here)
    assert slurm.TrialJob()({}, Path("/dev/full")) == {"error": None}


def test_a_line_that_a_killed_job_left_unfinished_is_passed_over(tmp_path: Path) -> None:
    said: list[str] = []
    progress = tmp_path / "a.jsonl"
    line = '{"what": "say", "line": "%s"}\n'
    progress.write_text(line % "first" + '{"what": "say", "li' + line % "lost" + line % "last")
    running: Any = SimpleNamespace(done=lambda: False)
    task: Any = None
    assert not slurm._Job(task, running, progress, ShownEvents(ProgressLines(said.append))).has_ended()
    assert [text.strip() for text in said] == ["first", "last"]
