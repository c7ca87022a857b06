"""A choice based on private records is a mechanism: it must be planned, it is noised, and it costs budget."""

from __future__ import annotations

from pathlib import Path

import fakes
import numpy as np
import pandas as pd
import pytest
from short_recipes import shorten

import dpbench
from dpbench import METHODS, Method, NoisySum, Plan
from dpbench.benchmark import inputs
from dpbench.core.errors import PrivacyError
from dpbench.core.files import read_json
from dpbench.core.plugin_files import load_plugin

PLUGIN = Path(__file__).parents[2] / "plugin_choice.py"


@pytest.fixture
def choice(tiny: Path) -> type[Method]:
    load_plugin(PLUGIN)
    return METHODS.get("choice")


def run(out: Path, method: str = "choice", **options) -> pd.DataFrame:
    settings = {"public": "tiny-public", "samples": 30, "delta": 1e-6, "metrics": ["brightness"], "references": ()}
    return dpbench.run([method], "tiny", [1.0], out=out, device="cpu", **(settings | options))


def bright_class(folder: Path) -> int:
    """The label with the brighter samples."""
    images = np.concatenate([np.load(path) for path in sorted((folder / "samples").glob("*.npy"))])
    labels = np.array(read_json(folder / "samples/conditions.json")["labels"])
    means = [images[labels == k].mean() for k in (0, 1)]
    assert abs(means[0] - means[1]) > 100
    return int(np.argmax(means))


def test_private_choice_is_in_the_ledger(choice, tiny: Path) -> None:
    rows = run(tiny, references=["public"]).set_index("reference")
    folders = {reference: next(tiny.rglob(f"{key}/trial.json")).parent for reference, key in rows["key"].items()}
    assert bright_class(folders["public"]) == 0  # the default without private data
    assert bright_class(folders[""]) == 1
    assert 0.995 <= rows.loc["", "epsilon_spent"] <= 1
    assert rows.loc["public", "epsilon_spent"] == 0
    assert rows.loc["", ["accounting", "noise"]].tolist() == ["verified", "secret"]
    assert "confirmations" in (folders[""] / "ledger.json").read_text()


def test_samples_after_a_private_choice_are_scored(choice, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch, 30, batch=16)
    row = run(tiny, metrics=["accuracy", "label-fidelity"], resolution=32).iloc[0]
    assert row["accuracy"] > 0.9
    assert row["label_fidelity"] > 0.9


def test_choice_outside_the_plan_reads_no_record(choice, tiny: Path, monkeypatch) -> None:
    class Sneaky(choice):
        """Plans another mechanism."""

        @classmethod
        def plan(cls, config, spec, request) -> Plan:
            return Plan(NoisySum(name="something else", clip=1.0))

    METHODS.register("sneaky")(Sneaky)
    asked, read = [], fakes.TinyImages.batch

    def noting(self, indices):
        asked.append(self.spec.name)
        return read(self, indices)

    monkeypatch.setattr(inputs, "check_apart", lambda *_: None)  # it reads all records, before the method does anything
    monkeypatch.setattr(inputs, "check_apart", lambda *_: None)  # it reads all records, before the method starts
    monkeypatch.setattr(fakes.TinyImages, "batch", noting)
    with pytest.raises(PrivacyError, match="confirmations"):
        run(tiny, "sneaky")
    assert set(asked) == {"tiny-public"}
    assert not list(tiny.rglob("trial.json"))
