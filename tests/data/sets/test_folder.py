"""Image folders and zips."""

from __future__ import annotations

import errno
import os
import zipfile
from dataclasses import replace

import pytest
import torch
from dataset_files import pack, paint
from PIL import Image

from dpbench.core.errors import DataError
from dpbench.data import decoded
from dpbench.data import image_files as sources
from dpbench.data.sets.folder import Folder
from dpbench.data.splits import split_by_hash


def shades(split) -> list[int]:
    return split.batch(range(len(split))).images[:, 0, 0, 0].tolist()


def test_class_folders_give_labels(pets, options):
    dataset = Folder(str(pets), options)
    assert dataset.spec.classes == ("cats", "dogs")
    assert (dataset.spec.name, dataset.spec.shape) == (f"folder:{pets}", (3, 32, 32))
    for split in (dataset.train(), dataset.test()):
        batch = split.batch(range(len(split)))
        assert batch.labels.tolist() == [int(shade >= 30) for shade in shades(split)]
    assert sorted(shades(dataset.train()) + shades(dataset.test())) == list(range(60))
    assert (dataset.spec.n_train, dataset.spec.n_test) == (len(dataset.train()), len(dataset.test()))
    assert 1 <= dataset.spec.n_test <= 15


def test_a_batch_keeps_order_and_decodes_lazily(faces, options):
    train = Folder(str(faces), options).train()
    every = shades(train)
    assert train.batch([3, 0, 3]).images[:, 0, 0, 0].tolist() == [every[3], every[0], every[3]]
    assert train.batch(torch.tensor([1])).images[0, 2, 0, 0] == 255 - every[1]
    assert train.batch([]).images.shape == (0, 3, 32, 32)
    assert train.batch([0]).labels is None


def test_a_record_keeps_its_split_when_others_come_and_go(faces, options):
    before = shades(Folder(str(faces), options).test())
    for shade in range(40, 80):
        paint(faces / f"{shade}.png", shade)
    after = shades(Folder(str(faces), options).test())
    assert [shade for shade in after if shade < 40] == before


def test_splitting_takes_a_tenth():
    train, test = split_by_hash([f"{i}.png" for i in range(10_000)], "here")
    assert len(train) + len(test) == 10_000
    assert 900 < len(test) < 1100


@pytest.mark.parametrize(("held_out", "also"), [("test", None), ("val", None), ("test", "val")])
def test_split_folders_are_the_splits(held_out, also, tmp_path, options):
    for shade, place in ((1, "train/a"), (2, "train/b"), (3, "train/b"), (4, f"{held_out}/b"), (5, f"{also}/a")):
        if not place.startswith("None"):
            paint(tmp_path / "own" / place / f"{shade}.png", shade)
    dataset = Folder(str(tmp_path / "own"), options)
    assert (shades(dataset.train()), shades(dataset.test())) == ([1, 2, 3], [4])
    assert dataset.train().batch([0, 2]).labels.tolist() == [0, 1]
    assert dataset.test().batch([0]).labels.tolist() == [1]
    assert dataset.spec.classes == ("a", "b")


def test_split_folders_without_classes(tmp_path, options):
    for shade, place in ((1, "train"), (2, "train"), (3, "test")):
        paint(tmp_path / "own" / place / f"{shade}.png", shade)
    dataset = Folder(str(tmp_path / "own"), options)
    assert (shades(dataset.train()), shades(dataset.test()), dataset.spec.classes) == ([1, 2], [3], None)


@pytest.mark.parametrize(
    ("train", "held_out"),
    [
        ("training", "testing"),
        ("Train", "Test"),
        ("train", "valid"),
        ("train2017", "val2017"),
        ("seg_train", "seg_test"),
    ],
)
def test_split_folders_may_have_other_names(train, held_out, tmp_path, options):
    for shade, place in ((1, f"{train}/a"), (2, f"{train}/b"), (3, f"{held_out}/b")):
        paint(tmp_path / "own" / "archive" / place / f"{shade}.png", shade)
    dataset = Folder(str(tmp_path / "own"), options)
    assert (shades(dataset.train()), shades(dataset.test())) == ([1, 2], [3])
    assert dataset.spec.classes == ("a", "b")


@pytest.mark.parametrize("classes", ["", "a/"])
def test_split_folders_may_have_a_folder_around_everything(classes, tmp_path, options):
    for shade, place in ((1, "seg_train/seg_train"), (2, "seg_test/seg_test")):
        paint(tmp_path / "own" / place / classes / "0.png", shade)
    dataset = Folder(str(tmp_path / "own"), options)
    assert (shades(dataset.train()), shades(dataset.test())) == ([1], [2])
    assert dataset.spec.classes == (("a",) if classes else None)


@pytest.mark.parametrize("packed", [False, True])
def test_annotations_beside_split_folders_are_ignored(packed, tmp_path, options):
    for place in ("coco/train2017", "coco/val2017"):
        paint(tmp_path / place / "0.png", 1)
    (tmp_path / "coco" / "annotations").mkdir()
    (tmp_path / "coco" / "annotations" / "captions_train2017.json").write_text("{}")
    (tmp_path / "coco" / "README.txt").write_text("words")
    folder = Folder(str(pack(tmp_path / "coco") if packed else tmp_path / "coco"), options)
    assert (len(folder.train()), len(folder.test())) == (1, 1)


def test_classes_that_are_integers_are_numbered_by_value(tmp_path, options):
    for number in range(12):
        for split in ("train", "test"):
            paint(tmp_path / "own" / split / str(number) / "0.png", number)
    dataset = Folder(str(tmp_path / "own"), options)
    assert dataset.spec.classes == tuple(map(str, range(12)))
    assert sorted(shades(dataset.train())) == list(range(12))
    assert dataset.train().batch(range(12)).labels.tolist() == shades(dataset.train())


def test_a_folder_has_one_name(faces, options, monkeypatch):
    (faces.parent / "link").symlink_to(faces)
    monkeypatch.chdir(faces.parent)
    monkeypatch.setenv("HOME", str(faces.parent))
    for path in ("faces", "./faces/", f"{faces}/../faces", "link", "~/faces", "~/link/"):
        assert Folder(path, options).spec.name == f"folder:{faces}"
        assert Folder(f"{path}?gray", options).spec.name == f"folder:{faces}?gray"


def test_names_in_a_zip_may_have_backslashes(pets, options):
    path = pack(pets)
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(pets.parent / "windows.zip", "w") as other:
        for entry in archive.infolist():
            other.writestr(zipfile.ZipInfo(entry.filename.replace("/", "\\")), archive.read(entry))
    ours, theirs = Folder(str(path), options), Folder(str(pets.parent / "windows.zip"), options)
    assert theirs.spec.classes == ("cats", "dogs")
    assert theirs.train().fingerprint == ours.train().fingerprint


def test_jfif_is_jpeg(faces, options):
    Image.new("RGB", (32, 32), (250, 0, 0)).save(faces / "99.jfif", format="jpeg")
    dataset = Folder(str(faces), options)
    assert dataset.spec.n_train + dataset.spec.n_test == 41
    assert max(shades(dataset.train()) + shades(dataset.test())) > 200


@pytest.mark.parametrize("around", ["", "pets/", "download/pets/"])
def test_a_zip_is_the_same_dataset_as_its_folder(around, pets, options):
    (pets / ".DS_Store").write_bytes(b"litter")
    (pets / "__MACOSX").mkdir()
    (pets / "__MACOSX" / "._00.png").write_bytes(b"litter")
    folder, packed = Folder(str(pets), options), Folder(str(pack(pets, around)), options)
    for ours, theirs in ((folder.train(), packed.train()), (folder.test(), packed.test())):
        assert shades(ours) == shades(theirs)
        assert torch.equal(ours.batch([1, 0]).labels, theirs.batch([1, 0]).labels)
        if not around:
            assert ours.fingerprint == theirs.fingerprint


@pytest.mark.parametrize("litter", [".Trashes", "cats/.git", "__MACOSX"])
def test_hidden_folders_are_not_entered(litter, pets, options, monkeypatch):
    """Regression test: an unreadable .Trashes refused the dataset, and .git was walked in full."""
    expected = Folder(str(pets), options).test().fingerprint
    (pets / litter).mkdir()
    scandir = os.scandir

    def refusing(folder):
        if folder == str(pets / litter):
            raise PermissionError(errno.EACCES, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    assert Folder(str(pets), options).test().fingerprint == expected


def test_a_folder_around_everything_is_stepped_into(pets, tmp_path, options):
    inner, outer = Folder(str(pets), options), tmp_path / "outer" / "pets"
    outer.parent.mkdir()
    os.symlink(pets, outer)
    wrapped = Folder(str(outer.parent), options)
    assert wrapped.spec.classes == inner.spec.classes
    assert shades(wrapped.test()) == shades(inner.test())


def test_images_are_resized_and_cropped_to_the_resolution_asked_for(tmp_path, options):
    for shade in range(40):
        paint(tmp_path / "wide" / f"{shade}.jpg", shade, size=(60, 20 + shade))
    dataset = Folder(str(tmp_path / "wide"), replace(options, resolution=16))
    assert dataset.spec.shape == dataset.train().batch([0, 1]).images.shape[1:] == (3, 16, 16)


def test_grey_images_on_request(faces, options):
    dataset = Folder(f"{faces}?gray", options)
    assert dataset.spec.shape == dataset.train().batch([0]).images.shape[1:] == (1, 32, 32)
    assert dataset.spec.name == f"folder:{faces}?gray"
    assert dataset.train().fingerprint != Folder(str(faces), options).train().fingerprint


def test_a_folder_is_private_unless_declared(faces, options):
    assert not Folder(str(faces), options).spec.public_benchmark
    assert Folder(str(faces), replace(options, public_benchmark=True)).spec.public_benchmark


def test_the_fingerprint_follows_content_but_not_times(faces, options):
    first = Folder(str(faces), options).train().fingerprint
    path = faces / "00.png"
    os.utime(path, (0, 0))
    assert Folder(str(faces), options).train().fingerprint == first
    changed = bytearray(path.read_bytes())
    changed[-1] ^= 1
    path.write_bytes(changed)
    assert Folder(str(faces), options).train().fingerprint != first


def test_the_fingerprint_of_many_files_hashes_a_sample_of_contents(faces, options, monkeypatch):
    monkeypatch.setattr(sources, "HASHED_FILES", 10)
    monkeypatch.setattr(sources, "SAMPLED_FILES", 5)
    read: list[str] = []
    monkeypatch.setattr(sources.FolderSource, "checksum", lambda self, path: read.append(path) or 0)
    train = Folder(str(faces), options).train()
    first = train.fingerprint
    assert 5 <= len(read) < 10
    paint(faces / "99.png", 99)
    assert Folder(str(faces), options).train().fingerprint != first


@pytest.mark.parametrize("limit", [0, decoded.CACHE_BYTES])
def test_images_are_read_again_only_where_memory_does_not_hold_them(limit, faces, options, monkeypatch):
    monkeypatch.setattr(decoded, "CACHE_BYTES", limit)
    train = Folder(str(faces), options).train()
    first = train.batch([0, 1, 0]).images
    assert torch.equal(train.batch([0, 1, 0]).images, first)
    for path in faces.iterdir():
        path.unlink()
    if limit:
        assert torch.equal(train.batch([1]).images, first[1:2])
    else:
        with pytest.raises(DataError, match="cannot read"):
            train.batch([1])
