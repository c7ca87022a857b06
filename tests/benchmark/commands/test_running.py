"""Behaviour of `run`: files, skipping, protocol order and privacy marks."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import events
import fakes
import numpy as np
import pandas as pd
import pytest
import torch
from record import recorded
from short_recipes import shorten

import dpbench
from dpbench.benchmark.failures import TrialsFailed
from dpbench.benchmark.session import Session
from dpbench.benchmark.trials.schedule import plan_trials
from dpbench.benchmark.trials.trial import TrialSpec
from dpbench.benchmark.trials.trial_run import run_trial
from dpbench.core.errors import DpbenchError, PrivacyError
from dpbench.core.files import read_json
from dpbench.results.row import FIELDS


def run(out: Path, methods: str = "fake", epsilons: tuple[float, ...] = (1.0,), **options: Any) -> pd.DataFrame:
    defaults = {
        "dataset": "tiny",
        "public": "tiny-public",
        "samples": 30,
        "delta": 1e-6,
        "metrics": ["brightness"],
        "references": (),
    }
    return dpbench.run(methods.split(","), epsilons=epsilons, out=out, device="cpu", **(defaults | options))


def folders(out: Path) -> list[Path]:
    return sorted(path.parent for path in out.rglob("log.txt"))


def samples(folder: Path) -> np.ndarray:
    return np.concatenate([np.load(path) for path in sorted((folder / "samples").glob("*.npy"))])


def test_trial_folder_has_all_files(tiny: Path) -> None:
    rows = run(tiny)
    (folder,) = folders(tiny)
    assert folder.parts[-3:-1] == ("tiny", "fake")
    assert folder.name == rows["key"][0]
    expected = {
        "trial.json", "scores.json", "ledger.json", "model.safetensors", "samples", "checksums.json", "samples.png",
        "log.txt", "README.md",
    }  # fmt: skip
    assert {path.name for path in folder.glob("[!.]*")} == expected
    assert samples(folder).shape == (30, 1, 16, 16)
    assert read_json(folder / "samples/conditions.json") == {"count": 30, "labels": [0, 1] * 15}
    assert (tiny / "leaderboard.csv").exists()


def test_row_has_configuration_and_spent_budget(tiny: Path) -> None:
    row = run(tiny, epsilons=(2.0,)).iloc[0]
    assert (row["method"], row["dataset"], row["track"], row["reference"]) == ("fake", "tiny", "images", "")
    assert 0.995 * 2 <= row["epsilon_spent"] <= 2 <= row["epsilon_rdp"]
    assert 0.8 * row["epsilon_spent"] < row["epsilon_at_1e-5"] < 0.95 * row["epsilon_spent"]  # which is at δ = 1e-6
    assert 0.3 < row["mu"] < 1
    assert (row["accounting"], row["noise"], row["accountant"]) == ("verified", "secret", "PLD")
    assert (row["n_samples"], row["n_reference"], row["n_train"]) == (30, 40, 200)
    assert (row["public_source"], row["preset"], row["tuning"]) == ("tiny-public", "small", "untuned")
    assert json.loads(row["config"])["spread"] == 5.0
    assert row["seconds_fit"] > 0
    assert row["brightness"] >= 0


def test_columns_have_the_schema_order(tiny: Path) -> None:
    run(tiny)
    names = list(pd.read_csv(tiny / "leaderboard.csv").columns)
    fields = [field.name for field in FIELDS]
    assert [name for name in names if name in fields] == fields
    assert names.index("parameters_total") < names.index("brightness") < names.index("n_samples")


def test_log_has_the_progress_of_long_work(tiny: Path) -> None:
    run(tiny)
    (folder,) = folders(tiny)
    log = (folder / "log.txt").read_text()
    assert re.search(r"Z    fitting: 1 in \d+\.\d s, ε 1\n", log)
    assert re.search(r"Z    sampling: 30 in \d+\.\d s\n", log)


def test_finished_trial_is_skipped(tiny: Path) -> None:
    first = run(tiny)
    second = run(tiny)
    assert events.EVENTS.count("fit") == 1
    pd.testing.assert_frame_equal(first, second)


def test_force_runs_a_finished_trial_again(tiny: Path) -> None:
    run(tiny)
    run(tiny, force=True)
    assert events.EVENTS.count("fit") == 2


def test_missing_scores_are_computed_from_stored_samples(tiny: Path) -> None:
    run(tiny)
    row = run(tiny, metrics=["brightness", "classy"]).iloc[0]
    assert events.EVENTS.count("fit") == events.EVENTS.count("brightness") == 1
    assert row["classy"] == 0.5
    assert row["brightness"] >= 0


def test_damaged_scores_are_recomputed(tiny: Path) -> None:
    run(tiny)
    (folders(tiny)[0] / "scores.json").write_text("{")
    assert run(tiny)["brightness"].notna().all()
    assert events.EVENTS.count("fit") == 1


def test_any_changed_setting_is_another_trial(tiny: Path) -> None:
    for options in [{}, {"settings": {"spread": 6}}, {"samples": 31}, {"delta": 2e-6}, {"resolution": 32}]:
        run(tiny, **options)
    assert len(folders(tiny)) == 5


def run_variants(out: Path, *methods: str, **options: Any) -> pd.DataFrame:
    request = {
        "dataset": "tiny",
        "public": "tiny-public",
        "samples": 30,
        "delta": 1e-6,
        "metrics": ["brightness"],
        "references": (),
    }
    return dpbench.run(list(methods), out=out, device="cpu", **(request | options))


def test_variants_have_separate_plans(tiny: Path) -> None:
    rows = run_variants(tiny, "fake", "fake[spread=6]", "fake[spread=5.0]", "alone", seeds=2)
    assert rows["variant"].tolist() == ["", "", "spread=6.0", "spread=6.0", "", ""]
    assert rows["key"].nunique() == 6
    assert set(rows["tuning"]) == {"untuned", "user settings"}
    with pytest.raises(TrialsFailed, match="1 of 2"):  # one plan has an unused mechanism
        run_variants(tiny, "fake[batch=20]", "fake")


def test_variant_is_in_the_files_but_not_in_the_key(tiny: Path) -> None:
    (row,) = run_variants(tiny, "fake[spread=6]").to_dict("records")
    (folder,) = folders(tiny)
    trial = read_json(folder / "trial.json")
    assert trial["variant"] == row["variant"] == "spread=6.0"
    assert "fake [spread=6.0] ε=1 seed 0 starts" in (folder / "log.txt").read_text()
    run_variants(tiny, "fake", settings={"spread": 6})
    assert events.EVENTS.count("fit") == 1


def test_results_of_version_0_1_0_give_a_one_line_error(tiny: Path) -> None:
    run(tiny)
    path = folders(tiny)[0] / "trial.json"
    path.write_text(
        json.dumps({k: v for k, v in read_json(path).items() if k != "format"} | {"dpbench_version": "0.1.0"})
    )
    with pytest.raises(
        DpbenchError,
        match=r"trial\.json: it was written by dpbench 0\.1\.0, whose results this version cannot read; move",
    ):
        run(tiny)
    assert events.EVENTS.count("fit") == 1


UNKNOWN = "that this version of dpbench does not know: use the version that wrote it"
RESTORE = "move the trial's folder away"


@pytest.mark.parametrize(
    ("change", "advice"),
    [({"epsilom": 1.0}, UNKNOWN), ({"seed": "first"}, RESTORE), ({"reference": "other"}, RESTORE),
     ({"format": 3}, RESTORE)],
)  # fmt: skip
def test_unknown_or_mistyped_record_field_raises_an_error(tiny: Path, change: dict[str, Any], advice: str) -> None:
    run(tiny)
    path = folders(tiny)[0] / "trial.json"
    path.write_text(json.dumps(read_json(path) | change))
    with pytest.raises(DpbenchError, match=f"trial.json.*{next(iter(change))}.*{advice}"):
        run(tiny)


def test_missing_record_field_raises_an_error(tiny: Path) -> None:
    run(tiny)
    path = folders(tiny)[0] / "trial.json"
    path.write_text(json.dumps({k: v for k, v in read_json(path).items() if k != "variant"}))
    with pytest.raises(DpbenchError, match="there is no variant"):
        run(tiny)


def test_record_has_the_request(tiny: Path) -> None:
    run(tiny, settings={"spread": 6})
    stored = read_json(folders(tiny)[0] / "trial.json")["request"]
    assert (stored["methods"], stored["settings"], stored["samples"]) == (["fake"], {"spread": 6}, 30)
    assert not {"out", "data", "device"} & stored.keys()


def test_trial_runs_from_its_serialised_specification(tiny: Path) -> None:
    request = dpbench.RunRequest("fake", "tiny", [2.0], delta=1e-6, public="tiny-public", samples=30, references=(),
                                 settings={"spread": 7}, device="cpu", out=tiny)  # fmt: skip
    with Session.open(request) as session:
        (trial,) = plan_trials(session)
    read = TrialSpec.from_json(json.loads(json.dumps(trial.as_json())))
    assert (read, read.key) == (trial, trial.key)
    with Session.open(request) as session:
        run_trial(read, session, ["brightness"])
    assert trial.folder(tiny).is_finished
    with pytest.raises(DpbenchError, match="not the specification of a trial"):
        TrialSpec.from_json({"method": "fake"})


def test_order_of_opening_the_splits(tiny: Path) -> None:
    run(tiny)
    assert events.EVENTS == ["train", "prepare", "fit", "train", "sample", "test", "brightness"]


def test_seed_affects_sampling_but_not_the_noise(tiny: Path) -> None:
    def drawn(name: str, **options: Any) -> np.ndarray:
        run(tiny / name, **options)
        return samples(folders(tiny / name)[0])

    still = {"settings": {"spread": 0.0}}
    assert not np.array_equal(drawn("a", **still), drawn("b", **still))
    assert np.array_equal(drawn("c", noise_seed=1), drawn("d", noise_seed=1))


def test_reproducible_noise_is_marked_and_another_trial(tiny: Path) -> None:
    assert run(tiny, noise_seed=1)["noise"].tolist() == ["reproducible"]
    assert run(tiny)["noise"].tolist() == ["secret"]


def test_global_generator_is_unchanged(tiny: Path) -> None:
    before = torch.random.get_rng_state()
    run(tiny)
    assert torch.equal(before, torch.random.get_rng_state())


def test_unsafe_records_mark_the_row(tiny: Path) -> None:
    row = run(tiny, settings={"fail": "peek"}).iloc[0]
    assert row["accounting"] == "unverified"
    assert "for a look" in " ".join(row["notes"])


def test_default_references_are_real_and_public(tiny: Path) -> None:
    rows = dpbench.run(
        "fake", "tiny", public="tiny-public", samples=20, delta=1e-6, metrics=["brightness"], out=tiny, device="cpu"
    )
    assert rows["reference"].tolist() == ["public", "", "real"]


def test_reference_rows(tiny: Path) -> None:
    rows = run(tiny, "fake,alone", references=["real", "public", "nonprivate"], metrics=["brightness", "classy"])
    found = list(zip(rows["method"], rows["reference"], rows["epsilon"].fillna(-1), strict=True))
    assert found == [
        ("fake", "public", 0),
        ("fake", "", 1),
        ("fake", "nonprivate", math.inf),
        ("alone", "", 1),
        ("alone", "nonprivate", math.inf),
        ("real", "real", -1),
    ]
    public = rows.iloc[0]
    assert (public["epsilon_spent"], public["noise"], public["parameters_private"]) == (0, "", 0)
    assert rows["mu"].fillna(-1).iloc[[0, 2, 4, 5]].tolist() == [0, math.inf, math.inf, -1]
    assert rows["epsilon_at_1e-5"].fillna(-1).iloc[[0, 2, 4, 5]].tolist() == [0, math.inf, math.inf, -1]
    assert rows.iloc[5][["n_samples", "n_reference", "config"]].tolist() == [30, 40, '{"samples": 30}']


def test_public_reference_is_not_fitted(tiny: Path) -> None:
    run(tiny, epsilons=(), references=["public"])
    assert "fit" not in events.EVENTS


def test_infinite_epsilon_is_the_nonprivate_reference(tiny: Path) -> None:
    rows = run(tiny, epsilons=(math.inf,), references=["nonprivate"])
    assert rows["reference"].tolist() == ["nonprivate"]


def test_receipts_different_from_the_plan_raise_an_error(tiny: Path) -> None:
    with pytest.raises(PrivacyError, match="the plan says 1 releases"):
        run(tiny, settings={"fail": "skip"})
    assert not list(tiny.rglob("trial.json"))


@pytest.mark.parametrize(("fail", "error"), [("interrupt", KeyboardInterrupt), ("crash", DpbenchError)])
def test_failed_trial_keeps_ledger_log_and_finished_trials(tiny: Path, fail: str, error: type[BaseException]) -> None:
    run(tiny)
    finished = (tiny / "leaderboard.csv").read_bytes()
    with pytest.raises(error):
        run(tiny, "alone,fake", settings={"fake:fail": fail})
    names = [{p.name for p in folder.glob("[!.]*")} for folder in folders(tiny)]
    assert sum("trial.json" in found for found in names) == 2
    assert {"ledger.json", "log.txt", "checkpoints"} in names
    assert len(pd.read_csv(tiny / "leaderboard.csv")) == 2
    assert (tiny / "leaderboard.csv").read_bytes() != finished


def test_crash_gives_a_one_line_error_and_a_logged_traceback(tiny: Path) -> None:
    with pytest.raises(
        DpbenchError, match=r"fake \[fail=crash\] ε=1 seed 0: RuntimeError: it broke \(traceback in .*log.txt\)"
    ):
        run(tiny, settings={"fail": "crash"})
    assert "Traceback" in (folders(tiny)[0] / "log.txt").read_text()


def test_trial_interrupted_in_scoring_is_not_trained_again(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    compute = fakes.Brightness.compute
    monkeypatch.setattr(fakes.Brightness, "compute", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(tiny)
    monkeypatch.setattr(fakes.Brightness, "compute", compute)
    assert not list(tiny.rglob("trial.json"))
    assert run(tiny)["brightness"].notna().all()
    assert events.EVENTS.count("fit") == 1


@pytest.mark.parametrize(("fail", "message"), [("floats", "not torch.float32"), ("few", "not torch.uint8 .29, 1,")])
def test_invalid_samples_raise_an_error(tiny: Path, fail: str, message: str) -> None:
    with pytest.raises(DpbenchError, match=message):
        run(tiny, settings={"fail": fail})


def test_private_run_is_recorded_when_it_starts(tiny: Path) -> None:
    for fail in ("crash", "skip"):
        with pytest.raises(DpbenchError):
            run(tiny, settings={"fail": fail})
    run(tiny, epsilons=(1.0, 3.0), references=["public", "nonprivate"])
    lines = recorded()
    assert [line["epsilon"] for line in lines] == [1, 1, 1, 3]
    assert {"date", "method", "key", "delta", "dataset", "fingerprint"} <= lines[0].keys()
    assert len({line["run"] for line in lines}) == 4


def test_dataset_without_classes_notes_empty_cells(tiny: Path) -> None:
    row = run(tiny, dataset="tiny:plain", metrics=["brightness", "classy"]).iloc[0]
    assert math.isnan(row["classy"])
    assert "classy: the dataset has no classes" in row["notes"]
    assert row["brightness"] >= 0


def test_sensitive_files_of_undeclared_data(tiny: Path) -> None:
    rows = run(
        tiny, dataset="tiny:secret", references=["real", "nonprivate"], metrics=["brightness", "classy"]
    ).set_index("reference")
    assert rows["brightness"].notna().tolist() == [True, False, True]
    assert rows["classy"].notna().tolist() == [True, False, True]
    (plain,) = tiny.glob(f"*/fake/{rows.loc['', 'key']}")
    (without_noise,) = tiny.glob(f"*/fake/{rows.loc['nonprivate', 'key']}")
    (real,) = tiny.glob("*/real/*")
    assert not (plain / "sensitive").exists()
    outside = {"README.md", "ledger.json", "log.txt", "scores.json", "trial.json", "sensitive"}
    assert {path.name for path in without_noise.glob("[!.]*")} == outside
    assert not (real / "sensitive").exists()
    assert "test" in " ".join(rows.loc["real", "notes"])


def test_classifier_scores_of_undeclared_data_are_not_shown_or_cached(tiny: Path, monkeypatch) -> None:
    shorten(monkeypatch, 3, batch=8)
    request = {"metrics": ["label-fidelity"], "resolution": 32}
    secret = run(tiny, dataset="tiny:secret", **request).iloc[0]
    (folder,) = folders(tiny)
    assert math.isnan(secret["label_fidelity"])
    assert "not declared public" in " ".join(secret["notes"])
    assert 0 <= read_json(folder / "sensitive/scores.json")["values"]["label_fidelity"] <= 1
    assert not list((tiny.parent / "cache").rglob("classifier-*"))
    assert 0 <= run(tiny, **request)["label_fidelity"].iloc[0] <= 1
    assert len(list((tiny.parent / "cache").rglob("classifier-*.safetensors"))) == 1


def test_fingerprints_of_undeclared_datasets_are_keyed(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fingerprint(out: Path, dataset: str) -> str:
        return str(run(out, dataset=dataset)["dataset_fingerprint"][0])

    first = fingerprint(tiny / "a", "tiny:secret")
    assert fingerprint(tiny / "a", "tiny:secret") == first
    assert fingerprint(tiny / "b", "tiny") != first
    monkeypatch.setenv("DPBENCH_STATE", str(tiny.parent / "another user"))
    assert fingerprint(tiny / "c", "tiny:secret") != first


def test_small_dataset_gets_a_default_delta_without_a_warning(tiny: Path, recwarn: pytest.WarningsRecorder) -> None:
    rows = run(tiny, delta=None, epsilons=(1.25,))
    assert not [w for w in recwarn if "δ" in str(w.message)]
    assert rows["delta"][0] == pytest.approx(1 / (200 * math.log(200)))
