"""`dpbench run --config FILE`."""

from __future__ import annotations

from pathlib import Path

import events
import pandas as pd
import pytest
from calling import PLUGIN, call

from dpbench.benchmark.launchers import slurm

OPTIONS = """
methods = ["fake"]
public = "tiny-public"
samples = 30
delta = 1e-6
metrics = ["brightness"]
references = []
device = "cpu"
"""


def experiment(out: Path, text: str) -> Path:
    path = out.parent / "experiment.toml"
    path.write_text(OPTIONS + f"out = '{out}'\n" + text, encoding="utf-8")
    return path


def test_datasets_run_one_after_the_other(tiny: Path) -> None:
    path = experiment(tiny, 'datasets = ["tiny", "tiny:plain"]')
    result = call("run", "--config", path)
    assert result.exit_code == 0
    assert [line for line in result.stdout.splitlines() if line.startswith("tiny") and "samples against" in line]
    assert list(pd.read_csv(tiny / "leaderboard.csv")["dataset"]) == ["tiny", "tiny:plain"]
    (stored,) = (tiny / "experiments").iterdir()
    again = call("run", "--config", stored)
    assert again.stderr.count("finished already") == 2
    assert events.EVENTS.count("fit") == 2


def test_options_override_the_file(tiny: Path) -> None:
    path = experiment(tiny, "epsilons = [5]\nseeds = 2\n[settings]\nspread = 4\nlevels = 2\n[datasets.tiny]\n")
    result = call("run", "--config", path, "--eps", "1", "--set", "spread=6", "--seeds", "1")
    assert result.exit_code == 0
    (row,) = pd.read_csv(tiny / "leaderboard.csv").to_dict("records")
    assert (row["epsilon"], row["seed"], row["variant"]) == (1.0, 0, "spread=6.0,levels=2")
    assert call("run", "--config", path, "--eps", "1", "--dataset", "tiny:plain", "--seeds", "1").exit_code == 0
    assert len(pd.read_csv(tiny / "leaderboard.csv")) == 2


def test_options_that_need_one_of_the_file_are_accepted(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "check", lambda waves, session: None)  # this machine may have none
    path = experiment(tiny, "dataset = 'tiny'\nlauncher = 'slurm'\n")
    for option in (("--workers", "2"), ("--job", "timeout_min=5")):
        assert call("run", "--config", path, *option, "--dry-run").exit_code == 0
        alone = call("run", "--config", path, *option, "--launcher", "none", "--dry-run")
        assert (alone.exit_code, alone.stderr.count(f"error: {option[0]} ")) == (2, 1)


def test_all_datasets_are_checked_before_the_first_one_runs(tiny: Path) -> None:
    result = call("run", "--config", experiment(tiny, "[datasets.tiny]\n[datasets.mnist.settings]\nspred = 1\n"))
    assert result.exit_code == 2
    assert "did you mean spread?" in result.stderr
    assert not tiny.exists()
    assert events.EVENTS == []


def test_a_dataset_that_fails_does_not_end_the_others(tiny: Path) -> None:
    path = experiment(tiny, 'datasets = ["mnist", "tiny"]')
    result = call("run", "--config", path)
    assert result.exit_code == 3
    failed, error = result.stderr.splitlines()[0], result.stderr.splitlines()[-1]
    assert failed.startswith("failed: mnist: ")
    assert "is missing" in failed
    assert error == "error: 1 of 2 runs failed; the same command tries them again"
    assert len(pd.read_csv(tiny / "leaderboard.csv")) == 1
    stopped = call("run", "--config", path, "--fail-fast", "--force")
    assert stopped.exit_code == 2
    assert events.EVENTS.count("fit") == 1


def test_plugins_of_the_file_are_loaded(tiny: Path) -> None:
    path = experiment(tiny, f"dataset = 'tiny'\nplugins = ['{PLUGIN}']")
    assert call("run", "--config", path, "--method", "mean", "--eps", "20").exit_code == 0


def test_a_run_without_methods_says_how_to_name_them() -> None:
    result = call("run")
    assert result.exit_code == 2
    assert "no method is given: use --method" in result.stderr
