"""Use of records outside the mechanisms: results stay in sensitive/ and their ε is unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pandas as pd
import pytest
import torch

import dpbench
from dpbench import METHODS
from dpbench.benchmark.trials import stages
from dpbench.core.errors import DpbenchError
from dpbench.core.files import read_json

OPEN = {"README.md", "trial.json", "ledger.json", "scores.json", "log.txt", "sensitive"}


def run(out: Path, dataset: str = "tiny:secret", method: str = "fake", **options: Any) -> pd.DataFrame:
    defaults: dict[str, Any] = {
        "public": "tiny-public", "samples": 10, "delta": 1e-6, "metrics": ["brightness"], "references": (),
        "device": "cpu", "settings": {"fail": "peek"},
    }  # fmt: skip
    return dpbench.run(method, dataset, out=out, **(defaults | options))


def contents(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def only(out: Path) -> Path:
    [folder] = {path.parent for path in out.rglob("log.txt")}
    return folder


class Raw(fakes.FakeMean):
    """A faulty method that stores raw images and samples them."""

    def fit(self, private, run) -> None:
        records = private.unsafe_records("to look at them")
        private.noisy_sum("mean", lambda batch: batch.images.float() / 255)
        self.mean = records.batch(range(10)).images.float()

    def sample(self, conditions, run):
        return self.mean[: conditions.count].to(torch.uint8)


def test_raw_images_of_undeclared_data_stay_sensitive(tiny: Path) -> None:
    METHODS.register("raw")(Raw)
    row = run(tiny, method="raw", settings={}).iloc[0]
    folder = only(tiny)
    assert contents(folder) == OPEN
    hidden = {"model.safetensors", "samples", "checksums.json", "samples.png", "scores.json"}
    assert contents(folder / "sensitive") == hidden
    kept = np.load(folder / "sensitive/samples/00000.npy")
    train = fakes.TinyImages(fakes.Tiny("secret", dpbench.DataOptions(tiny)).spec, 200, 0).images
    assert np.array_equal(kept, train[:10])  # it is this that must not lie outside
    assert row["accounting"] == "unverified"
    assert pd.isna(row["brightness"])
    assert "sensitive/" in " ".join(row["notes"])
    assert read_json(folder / "sensitive/scores.json")["values"]["brightness"] > 0


def test_later_scores_of_unverified_samples_stay_sensitive(tiny: Path) -> None:
    run(tiny)
    row = run(tiny, metrics=["brightness", "rare"]).iloc[0]
    assert pd.isna(row["rare"])
    assert read_json(only(tiny) / "sensitive/scores.json")["values"]["rare"] > 0
    dpbench.evaluate_all(tiny, ["classy"])
    assert contents(only(tiny)) == OPEN
    assert read_json(only(tiny) / "sensitive/scores.json")["values"]["classy"] == 0.5


@pytest.mark.parametrize("dataset", ["tiny", "tiny:secret"])
def test_unverified_trial_has_unknown_epsilon(tiny: Path, dataset: str) -> None:
    row = run(tiny, dataset).iloc[0]
    assert row["epsilon"] == 1
    assert row[["epsilon_spent", "epsilon_rdp"]].isna().all()
    trial = read_json(only(tiny) / "trial.json")
    assert trial["epsilon_spent"] is trial["epsilon_rdp"] is None


def test_unverified_samples_of_public_benchmarks_stay_in_the_usual_folder(tiny: Path) -> None:
    row = run(tiny, "tiny").iloc[0]
    assert row["brightness"] > 0
    assert {"model.safetensors", "samples", "samples.png"} < contents(only(tiny))
    assert not (only(tiny) / "sensitive").exists()


def test_verified_trial_of_undeclared_data_has_no_sensitive_folder(tiny: Path) -> None:
    row = run(tiny, settings={}).iloc[0]
    assert row["brightness"] > 0
    assert {"model.safetensors", "samples", "samples.png"} < contents(only(tiny))
    assert not (only(tiny) / "sensitive").exists()


def test_noise_that_can_be_subtracted_protects_nothing_of_undeclared_data(tiny: Path) -> None:
    run(tiny, settings={}, noise_seed=0)
    assert {"model.safetensors", "samples", "samples.png"} < contents(only(tiny) / "sensitive")
    assert not {"model.safetensors", "samples", "samples.png"} & contents(only(tiny))


def test_unverified_mark_is_kept_after_an_interruption(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = tiny.parent / "looked"

    class Once(fakes.FakeMean):
        """Reads records in its first attempt only; a stored state may depend on them."""

        def fit(self, private, run) -> None:
            if not looked.exists():
                looked.touch()
                private.unsafe_records("once")
            super().fit(private, run)

    METHODS.register("once")(Once)
    with monkeypatch.context() as patch:
        patch.setattr(stages, "draw_samples", lambda *_: 1 / 0)
        with pytest.raises(DpbenchError, match="ZeroDivisionError"):
            run(tiny, method="once", settings={})
    assert contents(only(tiny)) == {"ledger.json", "log.txt", "sensitive"}
    row = run(tiny, method="once", settings={}).iloc[0]
    assert row["accounting"] == "unverified"
    assert "once" in " ".join(row["notes"])
    assert contents(only(tiny)) == OPEN


def test_samples_of_an_earlier_attempt_are_removed_from_the_usual_folder(tiny: Path) -> None:
    run(tiny, settings={})
    folder = only(tiny)
    METHODS.unregister("fake")
    METHODS.register("fake")(Raw)  # the method changed, and its author forgot to count its version up
    Raw.__name__ = "FakeMean"
    run(tiny, settings={}, force=True)
    assert contents(folder) == OPEN
