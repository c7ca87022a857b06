"""The sheet of a run: which trials stand in it, and in which order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import events
import numpy as np
import pandas as pd
import pytest

import dpbench
from dpbench.benchmark import side_by_side
from dpbench.core.errors import DpbenchError
from dpbench.results import checksums
from dpbench.results.run_sheet import Group
from dpbench.results.trial_folder import PICTURE, dataset_folder

Drawn = list[Group]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """The groups of the last sheet."""
    groups: Drawn = []
    draw = side_by_side.write_run_sheet

    def write(path: Path, shown: list[Group], title: str, content: str) -> None:
        groups[:] = shown
        draw(path, shown, title, content)

    monkeypatch.setattr(side_by_side, "write_run_sheet", write)
    return groups


def run(out: Path, methods: str = "fake", epsilons: tuple[float, ...] = (1.0,), **options: Any) -> pd.DataFrame:
    fixed = {"dataset": "tiny", "public": "tiny-public", "samples": 30, "delta": 1e-6, "metrics": ["brightness"]}
    return dpbench.run(methods.split(","), epsilons=epsilons, out=out, device="cpu", **(fixed | options))


def headings(groups: Drawn) -> list[str]:
    return [f"{group.method}: {group.heading}" for group in groups]


def test_groups_are_real_then_methods_by_epsilon(tiny: Path, drawn: Drawn) -> None:
    run(tiny, "fake,alone", (10.0, 1.0), seeds=2, references=["real", "public", "nonprivate"])
    expected = ["fake: public", "fake: ε = 1", "fake: ε = 10", "fake: ε = ∞"]
    expected += ["alone: ε = 1", "alone: ε = 10", "alone: ε = ∞"]
    assert headings(drawn) == ["real images: test split", *expected]
    assert (tiny / "tiny" / PICTURE).exists()


def test_real_images_are_those_of_the_real_row(tiny: Path, drawn: Drawn) -> None:
    run(tiny, references=["real"])
    real, made = drawn
    assert list(real.positions) == list(range(40))
    assert real.images.fingerprint == dpbench.DATASETS.get("tiny")("", dpbench.DataOptions(tiny)).test().fingerprint
    (folder,) = tiny.glob("tiny/fake/*")
    stored = np.load(folder / "samples/00000.npy")
    assert np.array_equal(made.images.batch([0, 7]).images, stored[[0, 7]])
    assert len(made.positions) == 30


def test_undeclared_data_shows_only_what_the_guarantee_covers(tiny: Path, drawn: Drawn) -> None:
    run(tiny, epsilons=(1.0,), dataset="tiny:secret", references=["real", "public", "nonprivate"])
    assert headings(drawn) == ["fake: public", "fake: ε = 1"]
    with pytest.raises(DpbenchError):  # the unverified rows of a second method, and a failure after them
        run(tiny, "fake[fail=peek],fake[fail=crash]", dataset="tiny:secret", references=["real"])
    assert headings(drawn) == ["fake: public", "fake: ε = 1"]  # nothing was drawn


def test_unverified_rows_of_public_data_are_marked(tiny: Path, drawn: Drawn) -> None:
    run(tiny, "fake[fail=peek]", references=[])
    assert headings(drawn) == ["fake [fail=peek]: ε = 1 (unverified)"]


@pytest.mark.parametrize(("fail", "error"), [("interrupt", KeyboardInterrupt), ("crash", DpbenchError)])
def test_an_ended_run_shows_what_is_finished(tiny: Path, drawn: Drawn, fail: str, error: type[BaseException]) -> None:
    with pytest.raises(error):
        run(tiny, f"alone,fake[fail={fail}]", references=["real", "public"], fail_fast=True)
    assert headings(drawn) == ["alone: ε = 1", f"fake [fail={fail}]: public"]
    assert events.EVENTS.count("test") == 1  # by the scores: the sheet shows no real images before the real row
    assert (tiny / "tiny" / PICTURE).exists()


def test_trials_of_other_runs_are_not_shown(tiny: Path, drawn: Drawn) -> None:
    run(tiny, "alone", references=[])
    run(tiny, "fake", references=[])
    assert headings(drawn) == ["fake: ε = 1"]
    run(tiny, "alone,fake", references=[])  # both are skipped
    assert headings(drawn) == ["alone: ε = 1", "fake: ε = 1"]


def test_a_sheet_is_drawn_again_only_if_it_would_differ(
    tiny: Path, drawn: Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression test: every run hashed all samples again, even if all its trials were finished."""

    def draws(methods: str, **options: Any) -> bool:
        drawn.clear()
        run(tiny, methods, **{"references": ["real"], **options})
        return bool(drawn)

    picture = tiny / "tiny" / PICTURE
    assert draws("fake")
    with monkeypatch.context() as patch:
        patch.setattr(checksums, "check", lambda *_: pytest.fail("hashed samples"))
        assert not draws("fake")
    assert draws("fake,alone")
    assert draws("fake")
    assert draws("fake", references=["real", "public"])
    assert draws("fake", references=[])
    assert draws("fake", references=[], force=True)
    picture.write_bytes(picture.read_bytes()[:-100])
    assert draws("fake", references=[])
    picture.unlink()
    assert draws("fake", references=[])


def test_a_picture_that_cannot_be_drawn_fails_no_run(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no font")

    monkeypatch.setattr(side_by_side, "write_run_sheet", fail)
    with pytest.warns(UserWarning, match=r"samples.png is not written: no font"):
        rows = run(tiny, references=[])
    assert len(rows) == 1


@pytest.mark.parametrize("dataset", ["tiny:plain", "tiny:captions"])
def test_datasets_without_classes_have_a_sheet(tiny: Path, drawn: Drawn, dataset: str) -> None:
    run(tiny, dataset=dataset, references=["real"])
    assert headings(drawn) == ["real images: test split", "fake: ε = 1"]
    assert (dataset_folder(tiny, dataset) / PICTURE).exists()
