"""Damaged images are found before training."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import pytest
from dataset_files import paint

from dpbench.core.errors import DataError
from dpbench.core.progress import Silent
from dpbench.data import decode_check
from dpbench.data.decode_check import check_images
from dpbench.data.sets.folder import Folder


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    for split in ("train", "test"):
        for shade in range(9):
            paint(tmp_path / "faces" / split / f"{shade}.png", shade)
    return tmp_path / "faces"


class Counted(Silent):
    def __init__(self) -> None:
        self.name, self.total, self.steps = "", 0, 0

    @contextmanager
    def phase(self, name, total):
        self.name, self.total = name, total

        def advance(steps: int = 1, note: str = "") -> None:
            self.steps += steps

        yield advance


@pytest.mark.parametrize("batch", [2, 100])
def test_every_damaged_image_counts_and_the_first_are_named(faces, options, monkeypatch, batch) -> None:
    monkeypatch.setattr(decode_check, "BATCH", batch)
    train = Folder(str(faces), options).train()
    progress = Counted()
    check_images(train, "train", progress)
    assert (progress.name, progress.total, progress.steps) == ("checking train images", 9, 9)
    for shade in (1, 4, 5, 8):
        (faces / "train" / f"{shade}.png").write_text("no image")
    with pytest.raises(DataError, match=r"4 images are damaged: \S*/1.png is not an image.*/4.png .*/5.png .* \.\.\.$"):
        check_images(Folder(str(faces), options).train(), "train", progress)


def test_one_damaged_image_is_named_as_usual(faces, options) -> None:
    (faces / "train/7.png").write_bytes((faces / "train/7.png").read_bytes()[:60])
    with pytest.raises(DataError, match=r"^\S*/7.png (cannot be read|is not an image).*; replace or remove it$"):
        check_images(Folder(str(faces), options).train(), "train", Silent())
