"""By what private runs are counted: the records, whatever they are called, however they are shown."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from dpbench.core.data import DataOptions
from dpbench.core.specs import DatasetSpec
from dpbench.data import image_files as sources
from dpbench.data.arrays import ArrayDataset, Converted, Subset
from dpbench.data.sets.folder import Folder


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Cats and dogs, 20 of each to train and to test."""
    for split in ("train", "test"):
        for shade in range(40):
            path = tmp_path / "pets" / split / ("cats" if shade < 20 else "dogs") / f"{shade:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 32), (shade, shade // 2, 255 - shade)).save(path)
    return tmp_path / "pets"


def content(path: Path, options: DataOptions, suffix: str = "") -> str:
    return Folder(f"{path}{suffix}", options).train().content


def test_places_names_order_classes_and_shapes_do_not_matter(pets: Path, options: DataOptions) -> None:
    first = content(pets, options)
    assert content(pets, replace(options, resolution=64)) == first
    assert content(pets, replace(options, public_benchmark=True)) == first
    assert content(pets, options, "?gray") == first
    for around in ("", "outer/"):
        with zipfile.ZipFile(pets.parent / "pets.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for file in pets.rglob("*.png"):
                archive.write(file, around + str(file.relative_to(pets)))
        assert content(pets.parent / "pets.zip", options) == first
    flat = pets.parent / "flat"
    for number, file in enumerate(sorted(pets.rglob("*.png"), reverse=True)):
        target = flat / file.relative_to(pets).parts[0] / f"renamed-{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    assert content(flat, options) == first


def test_other_records_are_other_content(pets: Path, options: DataOptions) -> None:
    first = content(pets, options)
    file = pets / "train/cats/03.png"
    kept = file.read_bytes()
    Image.new("RGB", (32, 32), (4, 2, 251)).save(file)
    assert content(pets, options) != first
    file.write_bytes(kept)
    assert content(pets, options) == first
    file.unlink()
    assert content(pets, options) != first


def test_of_many_files_a_sample_is_read(pets: Path, options: DataOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "HASHED_FILES", 10)
    monkeypatch.setattr(sources, "SAMPLED_FILES", 5)
    read: list[str] = []
    read_file = sources.FolderSource.read
    monkeypatch.setattr(sources.FolderSource, "read", lambda self, path: read.append(path) or read_file(self, path))
    train = Folder(str(pets), options).train()
    assert len({train.content, train.fingerprint}) == 2
    assert len(read) == 5  # once for both


def test_views_of_arrays_have_the_content_of_what_they_show() -> None:
    spec = DatasetSpec("numbers", 1, 8, 6, 2, None, True)
    whole = ArrayDataset(spec, torch.arange(6 * 64, dtype=torch.int64).byte().reshape(6, 1, 8, 8), None)
    assert whole.content == whole.fingerprint
    small = Converted(whole, replace(spec, resolution=4), lambda images: images[..., ::2, ::2], "resize")
    assert small.content == whole.content != small.fingerprint
    assert Subset(whole, [1, 4]).content == Subset(small, [4, 1]).content != Subset(whole, [1, 5]).content
