"""`dpbench sample`: the files that it writes, and what it says of wrong requests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from calling import PLUGIN, TINY, call, run
from PIL import Image


@pytest.fixture
def trial(tiny: Path) -> Path:
    assert run(tiny).exit_code == 0
    (path,) = (tiny / "tiny" / "fake").iterdir()
    return path


def test_images_are_written_by_class_as_arrays_and_on_a_sheet(trial: Path, tiny: Path) -> None:
    out = tiny.parent / "drawn"
    result = call("sample", trial.name[:6], "--results", tiny, "--count", 3, "--labels", "bright,0", "--out", out)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"3 images of fake ε=1 seed 0: {out / 'images'} and {out / 'samples.npz'}",
        f"on one sheet: {out / 'samples.png'}",
    ]
    arrays = np.load(out / "samples.npz")
    assert (arrays["images"].shape, arrays["labels"].tolist()) == ((3, 16, 16, 1), [1, 0, 1])
    paths = [path.relative_to(out / "images").as_posix() for path in sorted(out.rglob("images/*/*"))]
    assert paths == ["bright/00000.png", "bright/00002.png", "dark/00001.png"]
    assert np.array_equal(np.asarray(Image.open(out / "images" / paths[2])), arrays["images"][1, ..., 0])
    assert "  sampling: 3 in " in result.stderr


def test_the_folder_of_drawn_images_can_be_evaluated_as_it_is(trial: Path, tiny: Path) -> None:
    out = tiny.parent / "drawn"
    call("sample", trial, "--count", 4, "--out", out)
    options = ("--dataset", "tiny", "--metrics", "brightness", "--references", "none", "--device", "cpu", "--out", tiny)
    result = call("evaluate", out, *options)
    assert (result.exit_code, "[1/1] drawn (external)" in result.stderr) == (0, True)
    assert "finished already" in call("evaluate", out / "samples.npz", "--name", "drawn", *options).stderr


def test_all_classes_in_turn_are_the_default(trial: Path) -> None:
    assert call("sample", trial, "--count", 4, "--seed", 1).exit_code == 0
    assert np.load(trial / "drawn" / "samples.npz")["labels"].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", "0"], "the number of images must be at least 1, not 0"),
        (["--labels", "2"], "unknown class '2'; known: bright, dark"),
        (["--device", "tpu"], "tpu"),
        (["--out", "s3://bucket/drawn"], "s3:/bucket/drawn is a URL"),
        (["--results", "s3://bucket"], "s3:/bucket is a URL"),
        (["--out", Path(__file__).parent], "is not empty; remove it"),
    ],
)
def test_wrong_requests_are_answered_in_one_line(trial: Path, arguments: list[object], message: str) -> None:
    result = call("sample", trial, *arguments)
    (line,) = result.stderr.splitlines()
    assert (result.exit_code, line.startswith("error: ")) == (2, True)
    assert message in line
    assert not (trial / "drawn").exists()


@pytest.mark.parametrize("place", ["~nobody-of-that-name/trial", "s3://bucket/trial"])
def test_a_trial_is_in_no_foreign_place(tiny: Path, place: str) -> None:
    (line,) = call("sample", place, "--results", tiny).stderr.splitlines()
    assert line.startswith(f"error: {Path(place)} ")


def test_a_plugin_that_is_missing_is_named(tiny: Path) -> None:
    assert call("run", "--method", "mean", *TINY, "--out", tiny, "--plugin", PLUGIN).exit_code == 0
    from dpbench import METHODS

    METHODS.unregister("mean")
    (path,) = (tiny / "tiny" / "mean").iterdir()
    result = call("sample", path)
    assert result.stderr == f"error: the trial's method 'mean' is not known; it was run with --plugin {PLUGIN}\n"
    assert call("sample", path, "--plugin", PLUGIN).exit_code == 0
