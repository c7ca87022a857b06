"""Loggers: what reaches them, what never does, and each one's own files read back."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import fakes
import pytest
import recorder
import torch
from torch import nn

import dpbench
from dpbench import METHODS, DpbenchError
from dpbench.benchmark.tracking import tracking as module
from dpbench.benchmark.tracking.tracker import TRACKERS
from dpbench.benchmark.tracking.tracking import statistics
from dpbench.training import loop
from dpbench.training.loop import train
from dpbench.training.public_steps import PublicSteps


class Adversary(fakes.FakeMean):
    """Trains with public steps on what it has released, and shows the ε spent."""

    def fit(self, private: Any, run: Any) -> None:
        super().fit(private, run)
        model = nn.Linear(1, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        steps = PublicSteps(lambda: model.weight.square().sum(), optimizer, 3, run)
        train(steps, model, optimizer, run, "follow", note=private.ledger.progress)

    def prepare(self, public: Any, run: Any) -> None:
        super().prepare(public, run)
        model = nn.Linear(1, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        train(PublicSteps(lambda: model.weight.square().sum(), optimizer, 3, run), model, optimizer, run, "begin")


@pytest.fixture(autouse=True)
def every_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRACKERS, "recorder", "recorder:Recorder")
    monkeypatch.setattr(module, "EVERY", 0.0)
    monkeypatch.setattr(loop, "NOTE_SECONDS", 0.0)


def run(out: Path, *names: str, **options: Any) -> None:
    asked: dict[str, Any] = {"methods": "fake", "dataset": "tiny", "epsilons": [2.0], "references": ()}
    asked |= {"public": "tiny-public", "samples": 30, "delta": 1e-6, "metrics": ["brightness"], "device": "cpu"}
    dpbench.run(**(asked | options), out=out, track=names)


@pytest.mark.parametrize(
    ("note", "found"),
    [
        ("ε 0.83 of 1 · loss 1.2e-05", {"epsilon": 0.83, "loss": 1.2e-5}),
        ("used 12 of 64 codes", {"used": 12.0}),
        ("ε ∞ · loss nan", {}),
        ("nothing to tell", {}),
    ],
)
def test_numbers_are_read_from_notes(note: str, found: dict[str, float]) -> None:
    assert statistics(note) == found


def test_a_logger_gets_settings_progress_and_scores(tiny: Path) -> None:
    METHODS.register("adversary")(Adversary)
    run(tiny, "recorder", methods="adversary", settings={"spread": 7.5})
    (trial,) = recorder.Recorder.runs
    assert trial.title == "adversary [spread=7.5] ε=2 seed 0"
    assert (trial.settings["epsilon"], trial.settings["settings.spread"]) == (2.0, 7.5)
    last = {phase: (step, values) for phase, step, values in recorder.Recorder.logged}
    assert last["fitting"] == (1, {"epsilon": 1.0})
    step, values = last["follow"]
    assert (step, values.keys()) == (3, {"epsilon", "loss"})
    assert values["epsilon"] == pytest.approx(2.0, abs=0.02)
    assert last["begin"][1].keys() == {"loss"}
    (scores,) = recorder.Recorder.scores
    assert scores.keys() == {"brightness"}


def test_what_depends_on_records_that_are_not_public_never_reaches_it(tiny: Path) -> None:
    METHODS.register("adversary")(Adversary)
    run(tiny, "recorder", methods="adversary", dataset="tiny:secret", epsilons=[2.0, math.inf])
    assert {phase for phase, _, values in recorder.Recorder.logged if "loss" in values} == {"begin"}
    assert {phase for phase, *_ in recorder.Recorder.logged} == {"begin", "fitting", "follow"}
    assert recorder.Recorder.scores == [{}, {}]
    assert "loss" not in "".join(
        line for log in tiny.rglob("log.txt") for line in log.read_text().splitlines() if "follow" in line
    )


def test_a_failed_trial_has_no_scores_and_the_next_one_has_its_own_log(tiny: Path) -> None:
    with pytest.raises(DpbenchError):
        run(tiny, "recorder", methods=["fake[fail=crash]", "fake"])
    assert [trial.title for trial in recorder.Recorder.runs] == ["fake [fail=crash] ε=2 seed 0", "fake ε=2 seed 0"]
    assert [scores.keys() for scores in recorder.Recorder.scores] == [set(), {"brightness"}]


def test_finished_trials_are_not_logged_again(tiny: Path) -> None:
    run(tiny)
    run(tiny, "recorder")
    assert recorder.Recorder.runs == []


def test_a_logger_that_fails_is_left_out_and_fails_no_trial(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder.Recorder, "broken", True)
    with pytest.warns(UserWarning, match="recorder no longer tracks this run: no network"):
        run(tiny, "recorder")
    assert recorder.Recorder.scores == []
    assert len(list(tiny.rglob("trial.json"))) == 1


def test_an_unknown_or_missing_logger_is_noticed_before_anything_runs(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DpbenchError, match="unknown tracker 'tensorbord'; did you mean tensorboard"):
        run(tiny, "tensorbord")
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(DpbenchError, match=r"tensorboard is not installed; `pip install 'dpbench\[track\]'`"):
        run(tiny, "tensorboard")
    assert not tiny.exists()


def test_tensorboard_files_are_read_back(tiny: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(tiny, "tensorboard")
    (folder,) = (tiny / "tracking" / "tensorboard" / "tiny").iterdir()
    events = EventAccumulator(str(folder)).Reload()
    (epsilon,), (score,) = events.Scalars("fitting/epsilon"), events.Scalars("scores/brightness")
    assert (epsilon.step, epsilon.value) == (1, 1.0)
    assert 0 < score.value < 255


def test_an_mlflow_store_is_read_back(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run(tiny, "mlflow")
    client = MlflowClient(f"sqlite:///{tiny / 'tracking' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("dpbench/tiny")
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FINISHED"
    assert found.data.params["settings.spread"] == "5.0"
    assert found.data.metrics["fitting/epsilon"] == 1.0
    assert found.data.metrics.keys() == {"fitting/epsilon", "scores/brightness"}


def test_an_offline_wandb_run_is_read_back(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    run(tiny, "wandb")
    (stored,) = (tiny / "tracking" / "wandb").glob("offline-run-*/*.wandb")
    content = stored.read_bytes()
    for text in (b"fitting/epsilon", b"scores/brightness", b"fake \xce\xb5=2 seed 0"):
        assert text in content
    assert str(tiny).encode() not in content
