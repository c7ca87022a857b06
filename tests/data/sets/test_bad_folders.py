"""Image folders and zips that are refused, in one line that names what to mend."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from dataset_files import pack, paint
from PIL import Image

from dpbench.core.errors import DataError
from dpbench.data import image_files as sources
from dpbench.data.sets.folder import Folder


def read_whole(argument: str, options) -> None:
    dataset = Folder(argument, options)
    for split in (dataset.train(), dataset.test()):
        split.batch(range(len(split)))


def check_refused(path: Path | str, options, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_whole(str(path), options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("argument", ["", "?gray"])
def test_a_path_is_needed(argument, options):
    check_refused(argument, options, "needs a path: folder:PATH")


def test_a_path_that_leads_nowhere_is_named(tmp_path, options):
    check_refused(tmp_path / "nowhere", options, f"{tmp_path}/nowhere does not exist; give a folder of images or a zip")


def test_a_path_to_something_else_is_named(tmp_path, options):
    (tmp_path / "notes.txt").write_text("words")
    check_refused(tmp_path / "notes.txt", options, "notes.txt is neither a folder nor a zip archive")


def test_an_empty_folder_is_named(tmp_path, options):
    check_refused(tmp_path, options, f"{tmp_path} has no images")


def test_an_empty_zip_is_named(tmp_path, options):
    zipfile.ZipFile(tmp_path / "empty.zip", "w").close()
    check_refused(tmp_path / "empty.zip", options, r"empty.zip has no images")


@pytest.mark.parametrize("packed", [False, True])
def test_an_empty_class_folder_is_named(packed, pets, options):
    (pets / "birds").mkdir()
    check_refused(pack(pets) if packed else pets, options, r"class folder .*/birds has no images; fill it")


def test_an_empty_split_folder_is_named(faces, options, tmp_path):
    (tmp_path / "own" / "test").mkdir(parents=True)
    faces.rename(tmp_path / "own" / "train")
    check_refused(tmp_path / "own", options, r"own/test has no images")


def test_images_beside_class_folders_are_named(pets, options):
    paint(pets / "stray.png", 9)
    check_refused(pets, options, r"stray.png is next to class folders")


def test_folders_beside_split_folders_are_named(tmp_path, options):
    for place in ("train", "test", "more"):
        paint(tmp_path / place / "0.png", 1)
    check_refused(tmp_path, options, r"more is next to train/ and test/")


def test_images_beside_split_folders_are_named(tmp_path, options):
    for place in ("train/0.png", "test/0.png", "test.png"):
        paint(tmp_path / place, 1)
    check_refused(tmp_path, options, r"test.png is next to train/ and test/")


def test_a_file_of_another_kind_in_a_split_is_named(tmp_path, options):
    for place in ("train", "test"):
        paint(tmp_path / place / "0.png", 1)
    (tmp_path / "train" / "labels.csv").write_text("1,2")
    check_refused(tmp_path, options, r"train/labels.csv is not an image")


def test_a_test_class_without_training_images_is_named(tmp_path, options):
    for place in ("train/a", "test/a", "test/b"):
        paint(tmp_path / place / "0.png", 1)
    check_refused(tmp_path, options, r"class folder 'b' of .* has test images but no training images")


def test_classes_in_one_split_only_are_refused(tmp_path, options):
    for place in ("train/a", "test"):
        paint(tmp_path / place / "0.png", 1)
    check_refused(tmp_path, options, r"class folders in one of train/ and test/ only")


def test_too_few_images_to_split_are_refused(tmp_path, options):
    paint(tmp_path / "0.png", 1)
    check_refused(tmp_path, options, "has only 1 images, too few to split")


def test_a_file_of_another_kind_is_named(faces, options):
    (faces / "labels.csv").write_text("1,2")
    check_refused(faces, options, r"labels.csv is not an image \(.png, .jpg, .*\); remove it")


def test_a_file_of_another_kind_beside_class_folders_is_named(pets, options):
    (pets / "README.txt").write_text("words")
    check_refused(pets, options, r"README.txt is not an image")


def test_a_file_that_only_pretends_is_named(faces, options):
    (faces / "07.png").write_text("no image")
    check_refused(faces, options, r"faces/07.png is not an image; replace or remove it")


@pytest.mark.parametrize("packed", [False, True])
def test_a_truncated_image_is_named(packed, faces, options):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(faces / "07.jpg")
    content = (faces / "07.jpg").read_bytes()
    (faces / "07.jpg").write_bytes(content[: len(content) // 2])
    check_refused(
        pack(faces) if packed else faces, options, r"07.jpg cannot be read \(.*truncated.*\); replace or remove it"
    )


def test_a_link_to_nothing_is_named(faces, options):
    os.symlink(faces / "gone", faces / "link.png")
    check_refused(faces, options, r"cannot read .*link.png: No such file")


@pytest.mark.parametrize("name", [b"two\nlines", b"caf\xe9"])
@pytest.mark.parametrize("place", ["faces", "image"])
def test_names_that_cannot_be_printed_are_refused(name, place, faces, options):
    target = os.fsencode(faces.parent) + b"/" + name if place == "faces" else os.fsencode(faces) + b"/" + name + b".png"
    os.rename(faces if place == "faces" else faces / "00.png", target)
    argument = os.fsdecode(target) if place == "faces" else faces
    check_refused(argument, options, r"the (file or )?folder name '.*' has line breaks, control characters or bytes")


def test_a_name_that_is_too_long_is_refused(faces, options):
    check_refused(f"{faces}/{'x' * 300}", options, "the folder name 'xx*...' is longer than 255 bytes")
    with zipfile.ZipFile(faces.parent / "long.zip", "w") as archive:
        archive.write(faces / "00.png", f"{'x' * 300}/00.png")
    check_refused(faces.parent / "long.zip", options, "the file or folder name 'xx*...' is longer than 255 bytes")


def test_a_path_that_is_too_long_is_refused(options):
    check_refused("/x" * 4000, options, "does not exist")


def test_a_circle_of_links_is_refused(tmp_path, options):
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    check_refused(tmp_path / "circle", options, "cannot be followed")


def test_a_file_that_is_too_large_for_an_image_is_refused_unread(faces, options, monkeypatch):
    with (faces / "99.png").open("wb") as file:
        file.truncate(sources.MOST_BYTES + 1)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("a file was read"))
    check_refused(faces, options, "99.png has 256 MiB, but an image file has at most 256; replace or remove it")


def test_a_file_in_a_zip_that_unpacks_to_far_more_is_refused_unread(faces, options, monkeypatch):
    path = pack(faces)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("99.png", bytes(sources.BOMB_BYTES + 1))
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("a file was unpacked"))
    check_refused(path, options, r"99.png unpacks to 1,\d\d\d times its size, as no image does; remove it")


def test_an_image_that_declares_too_many_pixels_is_named(faces, options):
    content = bytearray((faces / "07.png").read_bytes())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (faces / "07.png").write_bytes(content)
    check_refused(faces, options, r"07.png cannot be read \(Image size \(3600000000 pixels\) exceeds limit")


def test_two_files_of_the_same_name_in_a_zip_are_named(faces, options):
    path = pack(faces)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("00.png", (faces / "01.png").read_bytes())
    check_refused(path, options, "has two files called '00.png'; create it again")


def test_a_truncated_zip_is_named(faces, options):
    path = pack(faces)
    path.write_bytes(path.read_bytes()[:-200])
    check_refused(path, options, r"faces.zip is not an intact zip archive .*; download or create it again")


def test_a_zip_with_damaged_content_is_named(faces, options):
    path = pack(faces)
    content = bytearray(path.read_bytes())
    start = content.index(b"05.png") + 20
    content[start : start + 20] = bytes(20)
    path.write_bytes(content)
    check_refused(path, options, r"faces.zip/05.png cannot be unpacked")
