"""perf/coverage.py: planted faults are what they are called, tables are worked out, and a killed run goes on."""

from __future__ import annotations

import csv
from pathlib import Path

import fakes
import numpy as np
import pytest
import torch
from typer import Typer
from typer.testing import CliRunner, Result

from dpbench import DataOptions
from dpbench.core.data import ImageDataset
from dpbench.core.errors import DataError
from perf import _coverage_cells, coverage
from perf._coverage_cells import ALL_ANEW, REAL, SAMPLES_ANEW, Cell, Found
from perf._coverage_sets import CORRUPTIONS, Draws, Sets, corrupted
from perf._coverage_tables import caveats_sheet, corrupted_sheets, honest_sheet


def pixels(images: ImageDataset) -> np.ndarray:
    return images.batch(range(len(images))).images.numpy()


def shared(samples: ImageDataset, other: ImageDataset) -> int:
    """The number of samples that are images of the other set."""
    known = {image.tobytes() for image in pixels(other)}
    return sum(image.tobytes() in known for image in pixels(samples))


@pytest.fixture
def draws() -> Draws:
    return Draws(fakes.Tiny("", DataOptions(Path())).open_train(), 20, 60, 40, 3)


def test_the_three_sets_of_a_draw_share_no_image(draws: Draws) -> None:
    for sets in (draws.samples_anew(1), draws.all_anew(1)):
        assert (len(sets.samples), len(sets.train), len(sets.test)) == (20, 60, 40)
        assert shared(sets.samples, sets.train) == shared(sets.samples, sets.test) == shared(sets.test, sets.train) == 0
    assert shared(draws.samples_anew(1).samples, draws.samples_anew(2).samples) == 0
    assert shared(draws.samples_anew(1).train, draws.samples_anew(2).train) == 60
    assert shared(draws.all_anew(1).train, draws.all_anew(2).train) < 40
    with pytest.raises(DataError, match="tiny has 200 images, and 260 are needed"):
        Draws(fakes.Tiny("", DataOptions(Path())).open_train(), 40, 60, 40, 3)


def test_faults_are_what_they_are_called(draws: Draws) -> None:
    honest = draws.samples_anew(1)
    made: dict[str, Sets] = {name: corrupted(name, draws) for name in CORRUPTIONS}
    assert [shared(made[f"{n}% copies of train"].samples, honest.train) for n in (5, 20, 100)] == [1, 4, 20]
    assert shared(made["20% copies of test"].samples, honest.test) == 4
    assert shared(made["100% copies of test, one bit changed"].samples, honest.test) == 0
    for name in ("with noise, sd 4", "shifted by 1 pixel", "mirrored"):
        assert shared(made[f"20% copies {name}"].samples, honest.samples) == 16
        assert shared(made[f"100% copies {name}"].samples, honest.train) == 0
    mirrored = made["100% copies mirrored"].samples
    assert {image[..., ::-1].tobytes() for image in pixels(mirrored)} <= {i.tobytes() for i in pixels(honest.train)}
    assert len(np.unique(pixels(made["one image"].samples), axis=0)) == 1
    assert len(np.unique(pixels(made["one image per class"].samples), axis=0)) == 2
    assert set(made["one class missing"].samples.batch(range(10)).labels.tolist()) == {1}
    wrong = made["10% of labels wrong"].samples
    assert np.array_equal(pixels(wrong), pixels(honest.samples))
    changed = wrong.batch(range(20)).labels != honest.samples.batch(range(20)).labels
    assert 0 < torch.count_nonzero(changed) < 7


def test_tables_are_worked_out() -> None:
    def found(value: float, *caveats: str) -> Found:
        return Found({"fwd": value}, {"fwd": 0.5}, caveats)

    results = {
        **{Cell(SAMPLES_ANEW, n): found(value, f"fwd: {n} of 9") for n, value in enumerate((1.0, 2.0, 3.0))},
        Cell(REAL): found(2.0),
        Cell("blurred"): found(5.0, "fwd: 7 of 9", "fwd: too smooth"),
        Cell("copied"): Found(refused="copies"),
        **{Cell(ALL_ANEW, n): found(value) for n, value in enumerate((2.0, 2.0, 2.0))},
    }
    assert honest_sheet(results).rows == [["fwd", "2", "0.5", "1.96", "67%", "0", "0%", "33%"]]
    (sheet,) = corrupted_sheets(results, 80)
    assert sheet.rows == [["blurred", "+3.0!*"], ["copied", "refused"]]
    assert caveats_sheet(results).rows == [["blurred", "fwd: too smooth"], ["copied", "copies"]]


def run(folder: Path) -> Result:
    app = Typer()
    app.command()(coverage.main)
    options = ["--metrics", "brightness,classy", "--work", folder / "work", "--out", folder / "a.csv"]
    command = ["--dataset", "tiny", "--quick", *options, "--markdown", folder / "a.md"]
    return CliRunner().invoke(app, [str(word) for word in command])


def test_a_run_that_was_killed_measures_what_is_left(tiny: Path, tmp_path: Path, monkeypatch) -> None:
    first = run(tmp_path)
    assert first.exit_code == 0, first.output
    lines = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert {line["samples"] for line in lines} == {SAMPLES_ANEW, ALL_ANEW, REAL, *CORRUPTIONS}
    assert {line["score"] for line in lines} == {"brightness", "classy"}
    written = (tmp_path / "a.md").read_text()
    assert all(f"| {name} |" in written for name in CORRUPTIONS)

    stored = sorted(tmp_path.glob("work/*/*.json"))
    assert len(stored) == 2 * 3 + 1 + len(CORRUPTIONS)
    stored[0].unlink()
    stored[1].write_text("")
    evaluations: list[Cell] = []
    score = _coverage_cells.Laboratory._score
    monkeypatch.setattr(
        _coverage_cells.Laboratory, "_score", lambda self, cell: (evaluations.append(cell), score(self, cell))[1]
    )
    again = run(tmp_path)
    assert again.exit_code == 0, again.output
    assert len(evaluations) == 2
    assert (tmp_path / "a.md").read_text() == written
