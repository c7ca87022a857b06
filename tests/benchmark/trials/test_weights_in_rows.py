"""Pretrained weights from elsewhere: in the row, in the trial's key, and missed before anything is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import events
import fakes
import pandas as pd
import pytest
from tiny_upscalers import save_network

import dpbench
from dpbench.benchmark.trials.trial import TrialSpec
from dpbench.core.errors import NotInstalled
from dpbench.core.files import read_json, write_json
from dpbench.core.track import Track
from dpbench.models.pretrained.finding import sha256, weights_file

WEIGHTS = "mine.safetensors"


class Informed(fakes.FakeMean):
    """A method with weights from elsewhere."""

    @classmethod
    def track_of(cls, config: fakes.FakeConfig) -> Track:
        return "foundation"

    @classmethod
    def weights_of(cls, config: fakes.FakeConfig) -> dict[str, str]:
        return {WEIGHTS: sha256(weights_file(WEIGHTS))[:12], "another": "abc"}


@pytest.fixture
def folder(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder DPBENCH_WEIGHTS with the method's weights."""
    dpbench.METHODS.register("informed")(Informed)
    monkeypatch.setenv("DPBENCH_WEIGHTS", str(tmp_path))
    save_network(tmp_path / WEIGHTS)
    return tmp_path


def _run(out: Path, *methods: str) -> pd.DataFrame:
    request = {"dataset": "tiny", "public": "tiny-public", "samples": 30, "delta": 1e-6, "references": ()}
    return dpbench.run(methods, epsilons=(1.0,), out=out, device="cpu", metrics=["brightness"], **request)


def test_row_names_track_and_weights(folder: Path, tiny: Path) -> None:
    rows = _run(tiny, "informed", "fake").set_index("method")
    digits = sha256(folder / WEIGHTS)[:12]
    assert list(rows.loc["informed", ["track", "pretrained"]]) == ["foundation", f"another@abc, {WEIGHTS}@{digits}"]
    assert list(rows.loc["fake", ["track", "pretrained"]]) == ["images", ""]


def test_other_weights_are_another_trial(folder: Path, tiny: Path) -> None:
    first = _run(tiny, "informed")["key"][0]
    save_network(folder / WEIGHTS, "esrgan-x2")
    assert _run(tiny, "informed")["key"][0] != first
    save_network(folder / WEIGHTS)
    assert _run(tiny, "informed")["key"][0] == first


def test_key_without_weights_is_that_of_earlier_versions(folder: Path, tiny: Path) -> None:
    _run(tiny, "fake")
    [path] = tiny.rglob("trial.json")
    record = read_json(path)
    del record["pretrained"]
    write_json(path, record)
    events.EVENTS.clear()
    assert _run(tiny, "fake")["pretrained"][0] == ""
    assert "fit" not in events.EVENTS  # the stored trial was read


def test_missing_weights_end_the_run_before_anything_is_trained(folder: Path, tiny: Path) -> None:
    (folder / WEIGHTS).unlink()
    with pytest.raises(NotInstalled, match=f"there are no weights '{WEIGHTS}'"):
        _run(tiny, "fake", "informed")
    assert "prepare" not in events.EVENTS


def test_specification_keeps_the_weights(folder: Path, tiny: Path) -> None:
    _run(tiny, "fake")
    spec = dpbench.load(next(tiny.rglob("trial.json")).parent).spec
    trial = TrialSpec.real(spec, "x", dpbench.RunRequest().samples_of(spec), 0.1)
    named = replace(trial, pretrained="a@b")
    assert named.key != trial.key
    assert TrialSpec.from_json(named.as_json()).pretrained == "a@b"
