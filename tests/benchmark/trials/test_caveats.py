"""Which caveats a row of undeclared data shows (rule R9): those that depend on test and protected samples alone."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import fakes
import pytest

import dpbench
from dpbench.core.files import read_json
from dpbench.evaluation.caveats import Caveat


@pytest.fixture
def odd_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every metric finds something odd in its images."""
    for metric in (fakes.Brightness, fakes.Familiar):

        def compute(self: Any, evaluation: Any, compute: Any = metric.compute) -> Any:
            warnings.warn(f"{len(evaluation.synthetic)} odd images", Caveat, stacklevel=1)
            return compute(self, evaluation)

        monkeypatch.setattr(metric, "compute", compute)


def rows(out: Path, dataset: str) -> Any:
    return dpbench.run(
        "fake", dataset, [1.0], public="tiny-public", samples=30, delta=1e-6, metrics=["brightness", "familiar"],
        references=["real", "nonprivate"], out=out, device="cpu",
    ).set_index("reference")  # fmt: skip


def caveats(notes: tuple[str, ...]) -> list[str]:
    return [note for note in notes if "odd" in note]


def test_rows_of_a_users_own_folder_keep_the_caveats_of_their_shown_columns(tiny: Path, odd_metrics: None) -> None:
    found = rows(tiny, "tiny:secret")["notes"]
    assert caveats(found[""]) == ["brightness: 30 odd images"]
    assert caveats(found["real"]) == ["brightness: 20 odd images"]
    assert caveats(found["nonprivate"]) == []
    (folder,) = tiny.glob("*/real/*")
    assert len(caveats(tuple(read_json(folder / "sensitive/scores.json")["caveats"]))) == 2


def test_rows_of_a_public_benchmark_show_all_caveats(tiny: Path, odd_metrics: None) -> None:
    assert rows(tiny, "tiny")["notes"].map(caveats).map(len).tolist() == [2, 2, 2]


def test_what_images_look_like_is_shown_of_samples_with_a_guarantee_and_of_test(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = "images are odd"
    monkeypatch.setattr("dpbench.evaluation.input_checks._collapsed", lambda *_: [odd])
    found = rows(tiny, "tiny:secret")["notes"]
    assert odd in found[""]
    assert odd in found["real"]
    assert odd not in found["nonprivate"]
