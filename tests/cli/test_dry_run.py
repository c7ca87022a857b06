"""`dpbench run --dry-run`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import events
import pytest
from calling import call, run
from record import recorded

from dpbench import RunRequest
from dpbench.benchmark.commands.dry_run import dry_run
from dpbench.benchmark.commands.method_plan import method_plan
from dpbench.benchmark.trials import schedule

DP = ("--references", "public,real", "--set", "batch=20")


def test_trials_plans_noise_and_time_are_shown_and_nothing_is_trained(tiny: Path) -> None:
    result = run(tiny, "--dry-run", "--eps", "1,2,inf", "--seeds", "2", *DP)
    assert result.exit_code == 0
    assert "9 trials on tiny (200 records of 1×16×16)" in result.stdout
    assert re.search(
        r"fake \[batch=20\] ε=1 seed 1 +public training, private training, sampling, scoring +unknown", result.stdout
    )
    assert re.search(
        r"fake \[batch=20\] ε=0 \(public\) seed 0 +public training, sampling, scoring +unknown", result.stdout
    )
    assert re.search(r"real.* +scoring +unknown", result.stdout)
    assert re.findall(r"plan of fake \[batch=20\] on tiny .*ε = (\d)", result.stdout) == ["1", "2"]
    request = RunRequest("fake", "tiny", [1], delta=1e-6, samples=30, settings={"batch": 20})
    for mechanism in method_plan(request, 1).plan.mechanisms:
        assert f"{mechanism.noise_multiplier:.4g}" in result.stdout
    assert "metrics: brightness" in result.stdout
    assert not tiny.exists()
    assert not {"prepare", "fit", "sample", "test"} & {*events.EVENTS}
    assert recorded() == []


def test_finished_trials_are_told_and_tell_the_time(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tiny, "--eps", "1")
    seconds = {"prepare": 5000.0, "fit": 600.0, "sample": 60.0, "evaluate": 0.0}
    monkeypatch.setattr(schedule, "seconds_of_a_twin", lambda *_: seconds)
    planned = run(tiny, "--dry-run", "--eps", "1,2,3")
    assert re.search(r"ε=1 seed 0 +nothing: it is finished *$", planned.stdout, re.MULTILINE)
    assert planned.stdout.count("about 11 min") == 2
    assert "time: about 22 min\n" in planned.stdout
    assert "time: a few seconds" in run(tiny, "--dry-run", "--eps", "1").stdout


def test_time_is_a_lower_bound_where_a_stage_is_new(tiny: Path) -> None:
    run(tiny, "--eps", "1")
    planned = run(tiny, "--dry-run", "--eps", "1,2", method="fake,alone")
    assert re.search(r"alone ε=1 seed 0 .* unknown", planned.stdout)
    assert "time: unknown; finished trials with the same settings, dataset and device tell it" in planned.stdout


def test_what_would_end_the_run_is_found(tiny: Path) -> None:
    missing = run(tiny, "--dry-run", "--dataset", "mnist", "--public", "figures")
    assert (missing.exit_code, "is missing" in missing.stderr) == (2, True)
    assert run(tiny, "--dry-run", "--set", "spred=1").exit_code == 2
    assert not tiny.exists()


def test_a_launcher_that_cannot_start_is_found(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    refused = run(tiny, "--dry-run", "--launcher", "ray")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.splitlines()[-1] == "error: ray is not installed; `pip install 'dpbench[ray]'`"
    assert run(tiny, "--dry-run", "--launcher", "local").exit_code == 0
    assert not tiny.exists()


def test_all_datasets_of_an_experiment_are_shown(tiny: Path) -> None:
    path = tiny.parent / "experiment.toml"
    options = "methods = ['fake']\npublic = 'tiny-public'\nmetrics = ['brightness']\ndelta = 1e-6\ndevice = 'cpu'\n"
    path.write_text(options + "datasets = ['tiny', 'mnist', 'tiny:plain']", encoding="utf-8")
    result = call("run", "--config", path, "--dry-run", "--out", tiny)
    assert re.findall(r"trials on (\S+)", result.stdout) == ["tiny", "tiny:plain"]
    assert result.stderr.splitlines()[-1] == "error: 1 of 3 runs failed; the same command tries them again"
    assert not tiny.exists()


def test_dry_run_from_python_has_the_trials_of_the_run(tiny: Path) -> None:
    planned = dry_run(RunRequest("fake", "tiny", [1], public="tiny-public", out=tiny, device="cpu", delta=1e-6))
    assert [(t.trial.reference, bool(t.stages)) for t in planned.trials] == [
        ("public", True),
        ("", True),
        ("real", True),
    ]
    assert [plan.title for plan in planned.plans] == ["fake"]
    assert planned.time.is_least
