"""Computing missing scores of finished trials from their stored samples."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import events
import fakes
import pandas as pd
import pytest
import torch
from killing import in_a_child, was_killed

import dpbench
from dpbench.benchmark.commands.rescoring import Unscored
from dpbench.benchmark.trials import scoring
from dpbench.core.errors import DpbenchError, MissingScore
from dpbench.models.pretrained import finding
from dpbench.results import trial_folder
from dpbench.results.provenance import git_commit


class Dice(dpbench.Metric):
    """A random number and the mean of the samples."""

    columns = (dpbench.Column("dice", "low", ""), dpbench.Column("mean", "low", ""))
    weights = True
    reason = "no weights"

    def compute(self, evaluation):
        events.EVENTS.append("dice")
        if not self.weights:
            raise MissingScore(self.reason)
        images = evaluation.synthetic.batch(range(len(evaluation.synthetic))).images
        return {"dice": torch.rand(1, generator=evaluation.run.generator).item(), "mean": images.float().mean().item()}


@pytest.fixture(autouse=True)
def dice(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dpbench.METRICS.register("dice")(Dice)
    monkeypatch.setattr(Dice, "weights", True)


def run(out: Path, methods: str = "fake", **options: Any) -> pd.DataFrame:
    defaults = {
        "dataset": "tiny", "public": "tiny-public", "samples": 30, "delta": 1e-6, "metrics": ["brightness"],
        "references": (),
    }  # fmt: skip
    return dpbench.run(methods.split(","), out=out, device="cpu", **(defaults | options))


def fill(out: Path, *metrics: str, **options: Any) -> pd.DataFrame:
    return dpbench.evaluate_all(out, metrics or ["brightness", "dice"], device="cpu", **options)


def folder_of(out: Path, rows: pd.DataFrame, line: int = 0) -> Path:
    (path,) = out.glob(f"*/*/{rows['key'][line]}")
    return path


def test_scores_added_later_equal_those_computed_at_first(tiny: Path) -> None:
    options = {"noise_seed": 1, "seeds": 2, "references": ["real", "public"]}
    together = run(tiny / "a", metrics=["brightness", "dice"], **options)
    run(tiny / "b", **options)
    later = fill(tiny / "b").set_index("key").loc[together["key"]]
    for column in ("brightness", "dice", "mean"):
        assert together[column].notna().all()
        assert later[column].tolist() == together[column].tolist()
    assert together["dice"].nunique() == 2  # it depends on the trial's seed; that of `real` is 0


def test_rescoring_needs_neither_training_nor_the_method(tiny: Path) -> None:
    first = run(tiny, "fake,alone", references=["public", "nonprivate"])
    events.EVENTS.clear()
    for name in ("fake", "alone", "tiny-public"):
        registry = dpbench.DATASETS if name == "tiny-public" else dpbench.METHODS
        registry.unregister(name)
    rows = fill(tiny).set_index("key").loc[first["key"]]
    assert set(events.EVENTS) == {"train", "test", "dice"}
    assert rows["brightness"].tolist() == first["brightness"].tolist()
    assert rows["dice"].notna().all()
    assert pd.read_csv(tiny / "leaderboard.csv")["dice"].notna().all()


def test_dataset_is_opened_once_per_resolution(tiny: Path) -> None:
    run(tiny, seeds=2)
    run(tiny, seeds=2, resolution=32)
    run(tiny, dataset="tiny:plain")
    events.EVENTS.clear()
    fill(tiny)
    assert (events.EVENTS.count("train"), events.EVENTS.count("test"), events.EVENTS.count("dice")) == (3, 3, 5)


def test_complete_scores_open_no_dataset(tiny: Path) -> None:
    rows = run(tiny)
    events.EVENTS.clear()
    again = fill(tiny, "brightness")
    assert events.EVENTS == []
    pd.testing.assert_frame_equal(rows, again)


def test_metric_with_missing_weights_is_retried(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tiny)
    monkeypatch.setattr(Dice, "weights", False)
    row = fill(tiny).iloc[0]
    assert math.isnan(row["dice"])
    assert "dice, mean: no weights" in row["notes"]
    fill(tiny)
    assert events.EVENTS.count("dice") == 2
    monkeypatch.setattr(Dice, "weights", True)
    row = fill(tiny).iloc[0]
    assert 0 <= row["dice"] < 1
    assert row["notes"] == ()


def test_only_the_named_datasets_are_scored(tiny: Path) -> None:
    run(tiny)
    run(tiny, dataset="tiny:plain")
    assert fill(tiny, datasets=["tiny:plain"])["dataset"].tolist() == ["tiny:plain"]
    assert fill(tiny, datasets="tiny:plain")["dataset"].tolist() == ["tiny:plain"]
    assert events.EVENTS.count("dice") == 1
    with pytest.raises(DpbenchError, match="unknown dataset with results 'tiney'; did you mean tiny"):
        fill(tiny, datasets=["tiney"])


def test_changed_data_are_reported_and_other_trials_scored(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tiny)
    run(tiny, dataset="tiny:plain")
    train = fakes.Tiny.train

    def changed(self: fakes.Tiny) -> fakes.TinyImages:
        return train(self) if self.argument else fakes.TinyImages(self.spec, 200, 7)

    monkeypatch.setattr(fakes.Tiny, "train", changed)
    with (
        pytest.warns(
            UserWarning, match=r"not scored: fake ε=1 seed 0 .*'tiny' has the fingerprint \w+, not \w+: these are other"
        ),
        pytest.raises(Unscored, match="1 of 2 trials could not be scored") as failure,
    ):
        fill(tiny)
    assert failure.value.rows["dice"].notna().tolist() == [False, True]
    assert pd.read_csv(tiny / "leaderboard.csv")["dice"].notna().sum() == 1


def test_damaged_samples_are_reported_and_damaged_trials_skipped(tiny: Path) -> None:
    rows = run(tiny, seeds=3)
    for name in ("samples/00000.npy", "model.safetensors"):  # of which the samples could be drawn again
        (folder_of(tiny, rows, 0) / name).write_bytes(b"nothing")
    (folder_of(tiny, rows, 1) / "trial.json").write_text('{"key": 3}')
    with (
        pytest.warns(UserWarning, match=r"not scored: .*samples/00000\.npy is damaged"),
        pytest.warns(UserWarning, match=r"left out: .*trial\.json: it is damaged"),
        pytest.raises(Unscored, match="1 of 2 trials"),
    ):
        fill(tiny)
    assert "failed: " in (folder_of(tiny, rows, 0) / "log.txt").read_text()


def test_changed_bit_in_samples_is_noticed_also_where_no_score_is_missing(tiny: Path) -> None:
    folder = folder_of(tiny, run(tiny))
    samples, model = folder / "samples/00000.npy", folder / "model.safetensors"
    before = samples.read_bytes()
    flip(samples)
    fill(tiny, "brightness")
    assert samples.read_bytes() == before  # drawn again
    flip(samples)
    flip(model)
    with (
        pytest.warns(UserWarning, match=r"not scored.*00000\.npy is damaged.*move the trial's folder away"),
        pytest.raises(Unscored),
    ):
        fill(tiny, "brightness")
    (folder / "checksums.json").unlink()  # as in the folders of earlier versions
    assert fill(tiny)["dice"].notna().all()


@pytest.mark.parametrize("name", ["model.safetensors", "ledger.json"])
def test_changed_bit_in_model_or_ledger_is_noticed(tiny: Path, name: str) -> None:
    flip(folder_of(tiny, run(tiny)) / name)
    with pytest.warns(UserWarning, match=rf"{name} is damaged.*move the trial's folder away"):
        assert fill(tiny)["dice"].notna().all()


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def test_sensitive_scores_of_undeclared_data_stay_hidden(tiny: Path) -> None:
    options = {"dataset": "tiny:secret", "references": ["real", "nonprivate"]}
    first = run(tiny, **options)
    rows = fill(tiny, "brightness", "familiar", "dice").set_index("reference")
    assert rows["dice"].notna().to_dict() == {"": True, "nonprivate": False, "real": True}
    assert not rows["familiar"].notna().any()
    nonprivate = folder_of(tiny, first, first["reference"].tolist().index("nonprivate"))
    hidden = json.loads((nonprivate / "sensitive/scores.json").read_text())["values"]
    assert hidden["dice"] is not None
    assert hidden["brightness"] is not None
    assert not (nonprivate / "samples").exists()
    events.EVENTS.clear()
    fill(tiny, "brightness", "familiar", "dice")
    assert events.EVENTS == []


def test_kill_between_the_two_files_of_scores_loses_none(tiny: Path) -> None:
    usual = trial_folder.write_json

    def killed(work: Callable[[], object]) -> None:
        def write(path: Path, value: object) -> None:
            if path.name == "scores.json" and path.parent.name != "sensitive":
                os.kill(os.getpid(), signal.SIGKILL)
            usual(path, value)

        def attempt() -> None:
            trial_folder.write_json = write
            work()

        assert was_killed(in_a_child(attempt))

    options = {"dataset": "tiny:secret", "metrics": ["brightness", "familiar"]}
    killed(lambda: run(tiny, **options))
    rows = run(tiny, **options)
    assert rows["brightness"].notna().all()
    killed(lambda: fill(tiny, "dice"))
    assert fill(tiny, "dice")[["brightness", "dice"]].notna().all(axis=None)
    hidden = json.loads((folder_of(tiny, rows) / "sensitive/scores.json").read_text())["values"]
    assert {name for name, value in hidden.items() if value is not None} == {"brightness", "dice", "familiar", "mean"}


def test_scores_that_were_deleted_are_made_again(tiny: Path) -> None:
    rows = run(tiny, dataset="tiny:secret", metrics=["brightness", "familiar"])
    (folder_of(tiny, rows) / "scores.json").unlink()
    assert fill(tiny, "brightness", "familiar")["brightness"].tolist() == rows["brightness"].tolist()


def test_recorded_declaration_is_used(tiny: Path) -> None:
    run(tiny, dataset="tiny:secret", public_benchmark=True, references=["nonprivate"])
    assert fill(tiny)["dice"].notna().all()


@pytest.mark.parametrize(
    ("metrics", "message"), [(["brightness"], "no finished trials are in"), (["dise"], "unknown metric 'dise'")]
)
def test_invalid_request_writes_nothing(tiny: Path, metrics: list[str], message: str) -> None:
    with pytest.raises(DpbenchError, match=message):
        fill(tiny, *metrics)
    assert not tiny.exists()


@pytest.mark.parametrize(
    ("reason", "attempts"),
    [
        ("the images are too few", 1),
        ("weights 'inception' are not installed; run `dpbench weights get inception`", 1),
        ("json is not installed; `pip install 'dpbench[hub]'`", 2),  # it is now
    ],
)
def test_run_computes_an_empty_cell_again_once_its_reason_is_gone(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, reason: str, attempts: int
) -> None:
    monkeypatch.setattr(Dice, "weights", False)
    monkeypatch.setattr(Dice, "reason", reason)
    for _ in range(2):
        assert run(tiny, metrics=["dice"])["notes"].tolist() == [(f"dice, mean: {reason}",)]
    assert events.EVENTS.count("dice") == attempts
    fill(tiny, "dice")  # which always tries again
    assert events.EVENTS.count("dice") == attempts + 1


@pytest.mark.parametrize(("damaged", "attempts"), [(True, 1), (False, 2)])
def test_run_computes_a_cell_of_damaged_weights_again_once_they_are_replaced(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, damaged: bool, attempts: int
) -> None:
    monkeypatch.setattr(Dice, "weights", False)
    monkeypatch.setattr(Dice, "reason", "a.pt is damaged; delete it and run `dpbench weights get inception`")
    monkeypatch.setattr(finding, "lacks_weights", lambda reason: damaged)
    for _ in range(2):
        run(tiny, metrics=["dice"])
    assert events.EVENTS.count("dice") == attempts


@pytest.mark.parametrize("protocol", ["", "v1, 10 images"])
def test_scores_of_another_version_are_computed_again(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    monkeypatch.setattr(Dice, "protocol", protocol)
    for _ in range(2):
        run(tiny, metrics=["dice"])
    assert events.EVENTS.count("dice") == 1
    monkeypatch.setattr(Dice, "protocol", "v1, 100 images")
    for _ in range(2):
        (stored,) = fill(tiny, "dice")["protocol"]
        assert json.loads(stored)["dice"]["metric"] == "v1, 100 images"
    assert events.EVENTS.count("dice") == 2


def test_scores_of_before_versions_are_computed_again(tiny: Path) -> None:
    rows = run(tiny, metrics=["brightness"])
    path = folder_of(tiny, rows) / "scores.json"
    scores = json.loads(path.read_text())
    path.write_text(json.dumps(scores | {"protocol": scores["protocol"] | {"brightness": "code 12345678"}}))
    fill(tiny, "brightness")
    assert json.loads(path.read_text())["protocol"] == scores["protocol"]


def test_copied_folder_is_not_scored(tiny: Path) -> None:
    home = folder_of(tiny, run(tiny))
    for name in ("a copy", "z copy"):
        shutil.copytree(home, home.with_name(name))
    with pytest.warns(UserWarning, match="a trial counts once"):
        fill(tiny, "dice")
    assert events.EVENTS.count("dice") == 1
    assert "dice" in json.loads((home / "scores.json").read_text())["values"]


def test_scores_say_which_dpbench_computed_them(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (first,) = run(tiny)["scored_by"]
    assert first == f"{dpbench.__version__} {git_commit()}".strip()
    monkeypatch.setattr(scoring, "scored_now", lambda: {"date": "9999", "version": "9.9", "commit": "abc"})
    rows = fill(tiny, "brightness", "dice")
    assert rows["scored_by"].tolist() == ["9.9 abc"]
    assert rows["dpbench_version"].tolist() == [dpbench.__version__]
    scored = json.loads((folder_of(tiny, rows) / "scores.json").read_text())["scored"]
    assert (scored["brightness"]["version"], scored["dice"]["version"]) == (dpbench.__version__, "9.9")
