"""Public images that are also in the sensitive split are found, whatever their files are called."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dpbench.core.data import DataOptions, ImageDataset
from dpbench.core.errors import DataError
from dpbench.core.progress import Silent
from dpbench.data.opening import open_public
from dpbench.data.sets.folder import Folder
from dpbench.data.shared_images import check_apart


def draw(folder: Path, seeds: range) -> Path:
    """Noise images, one per seed, named after it."""
    (folder / "train").mkdir(parents=True)
    (folder / "test").mkdir()
    for seed in seeds:
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "train" / f"{seed}.png")
    shutil.copy(folder / "train" / f"{seeds[0]}.png", folder / "test/held_out.png")
    return folder


def opened(folder: Path, options: DataOptions) -> ImageDataset:
    return Folder(str(folder), options).train()


@pytest.fixture
def sensitive(tmp_path: Path, options: DataOptions) -> ImageDataset:
    return opened(draw(tmp_path / "sensitive", range(300)), options)  # more than a batch


def test_other_images_pass(tmp_path: Path, options: DataOptions, sensitive: ImageDataset) -> None:
    check_apart(opened(draw(tmp_path / "public", range(300, 600)), options), sensitive, Silent())


@pytest.mark.parametrize(("seeds", "message"), [
    (range(299, 599), "1 image of the 300 .* is also in"),
    (range(300), "300 images of the 300 .* are also in"),
])  # fmt: skip
def test_renamed_copies_are_refused(tmp_path: Path, options, sensitive, seeds: range, message: str) -> None:
    public = draw(tmp_path / "public", seeds)
    for number, path in enumerate(sorted((public / "train").iterdir())):
        path.rename(public / "train" / f"renamed{number}.png")
    with pytest.raises(DataError, match=message):
        check_apart(opened(public, options), sensitive, Silent())


def test_a_zip_of_copies_is_refused(tmp_path: Path, options, sensitive) -> None:
    draw(tmp_path / "public", range(100, 130))
    archive = Path(shutil.make_archive(str(tmp_path / "photos"), "zip", tmp_path / "public"))
    with pytest.raises(DataError, match="30 images"):
        check_apart(opened(archive, options), sensitive, Silent())


def test_grey_copies_are_refused(tmp_path: Path, options) -> None:
    """Read in colour, a grey image has three equal channels; converted, it is as grey as before."""
    for name in ("one", "other"):
        folder = draw(tmp_path / name, range(30))
        for path in (folder / "train").iterdir():
            Image.open(path).convert("L").save(path)
    grey = Folder(f"{tmp_path}/one?gray", options)
    with pytest.raises(DataError, match="30 images"):
        check_apart(open_public(f"folder:{tmp_path}/other", grey.spec, options), grey.train(), Silent())


def test_images_of_a_single_colour_may_be_in_both(tmp_path: Path, options) -> None:
    for name, seed in (("one", 1000), ("other", 2000)):
        folder = draw(tmp_path / name, range(seed, seed + 30))
        Image.new("RGB", (40, 40), "red").save(folder / "train/red.png")
    one, other = (opened(tmp_path / name, options) for name in ("one", "other"))
    check_apart(one, other, Silent())
