"""Crops of photographs as a public source: their number, size and content, and errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

from dpbench.core.data import DataOptions
from dpbench.data.opening import open_dataset
from experiments import crops


def make(photos: Path, out: Path, **options: int) -> None:
    crops.main(photos, out, **({"count": 3, "side": 16, "smallest": 20, "seed": 0} | options))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A grey photograph whose left half is black, and one that is smaller than `smallest`."""
    folder = tmp_path / "photos"
    folder.mkdir()
    halves = np.full((40, 60), 200, np.uint8)
    halves[:, :30] = 0
    Image.fromarray(halves).save(folder / "halves.jpg")
    Image.fromarray(np.full((10, 12, 3), 90, np.uint8)).save(folder / "small.png")
    (folder / "notes.txt").write_text("no photograph", encoding="utf-8")
    return folder


def test_every_photograph_gives_crops_of_one_size(photos: Path, tmp_path: Path) -> None:
    make(photos, tmp_path / "out")
    files = sorted((tmp_path / "out").glob("*"))
    assert [file.name for file in files] == [f"{name}-0{k}.png" for name in ("halves", "small") for k in range(3)]
    images = [np.asarray(Image.open(file)) for file in files]
    assert {image.shape for image in images} == {(16, 16, 3)}
    assert all((image == 90).all() for image in images[3:])
    assert len({image.tobytes() for image in images[:3]}) == 3  # other places or sizes


def test_crops_depend_only_on_the_seed(photos: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make(photos, tmp_path / name, seed=seed)
    a, b, c = ((tmp_path / name / "halves-00.png").read_bytes() for name in "abc")
    assert a == b != c


def test_crops_are_a_public_source(photos: Path, tmp_path: Path) -> None:
    make(photos, tmp_path / "out")
    dataset = open_dataset(f"folder:{tmp_path / 'out'}", DataOptions(tmp_path, resolution=16))
    assert len(dataset.train()) + len(dataset.test()) == 6
    assert dataset.spec.shape == (3, 16, 16)


@pytest.mark.parametrize("problem", ["empty", "damaged"])
def test_problems_are_one_line(problem: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if problem == "empty":
        photos = tmp_path / "none"
    else:
        (photos / "halves.jpg").write_bytes(b"no image")
    with pytest.raises(typer.Exit) as ended:
        make(photos, tmp_path / "out")
    assert ended.value.exit_code == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert ("holds no photographs" if problem == "empty" else "halves.jpg") in message
