"""Small files of published datasets, laid out as their archives unpack."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_files import idx, paint

from dpbench.data.sets.emnist import EDITIONS
from dpbench.data.sets.eurosat import EuroSAT
from dpbench.data.sets.face_attributes import ATTRIBUTES
from dpbench.data.splits import falls_into_test

RNG = np.random.default_rng(0)
COCO_CAPTIONS = {
    "train": {
        9: ["A dog runs. ", "a brown\ndog"],
        25: ["un chien très brun", "犬"],
        30: [f"caption {i}" for i in range(7)],
    },
    "val": {139: ["a cat"], 285: ["a grey cat", "  "]},
}
"""Split -> number of an image -> its captions."""

FACES = 40
SYNSETS = ("n01440764", "n01443537", "n01484850")
PLACES = ("/a/airfield", "/a/apartment_building/outdoor", "/b/building_facade")


def declare(plugin: Any, patch: pytest.MonkeyPatch, train: int, test: int) -> None:
    """Has a plugin declare as many records."""
    patch.setattr(plugin, "n_train", train)
    patch.setattr(plugin, "n_test", test)


def write_coco(root: Path, year: str = "2017", captions: dict[str, dict[int, list[str]]] = COCO_CAPTIONS) -> Path:
    """Photographs and caption files, their annotations in no order; image i has the shade i mod 256."""
    folder = root / "coco"
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    for split, of in captions.items():
        images, annotations = [], []
        for number in reversed(of):
            prefix = f"COCO_{split}2014_" if year == "2014" else ""
            name = f"{prefix}{number:012}.jpg"
            paint(folder / f"{split}{year}" / name, number % 256, (60, 48))
            images.append({"id": number, "file_name": name, "height": 48, "width": 60})
            annotations += [{"id": len(annotations), "image_id": number, "caption": text} for text in of[number]]
        content = {"info": {}, "licenses": [], "images": images, "annotations": annotations}
        (folder / "annotations" / f"captions_{split}{year}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def write_mm_celeba(
    root: Path, splits: dict[str, Sequence[int | str]], image: str = "image/{}.jpg", text: str = "text/celeba-caption"
) -> Path:
    """Faces 0 to the last one, each with two captions that have its number, and the pickles of the split."""
    folder = root / "mm-celeba-hq"
    (folder / text).mkdir(parents=True)
    for number in range(max(int(str(item).removesuffix(".jpg")) for split in splits.values() for item in split) + 1):
        paint(folder / image.format(number), 4 * number)
        words = f"She is face {number} and has bangs.\r\nThe woman {number} wears lipstick."
        (folder / text / f"{number}.txt").write_text(words, encoding="utf-8", newline="")
    for split, items in splits.items():
        (folder / f"{split}_filenames.pickle").write_bytes(pickle.dumps(list(items), protocol=2))
    return folder


def attribute_table(files: Sequence[str], has: np.ndarray) -> str:
    """The text of CelebA's table: names of the attributes, then 1 and -1 with runs of spaces."""
    rows = (f"{file} {' '.join(f'{value:2}' for value in row)}" for file, row in zip(files, 2 * has - 1, strict=True))
    return "\n".join([str(len(files)), " ".join(ATTRIBUTES) + " ", *rows]) + "\n"


def write_celeba(root: Path) -> tuple[Path, np.ndarray]:
    """Forty faces with random attributes, divided by turns into train, validation and test; returns them as bool."""
    folder, has = root / "celeba", RNG.integers(0, 2, (FACES, len(ATTRIBUTES)))
    files = [f"{number + 1:06}.jpg" for number in range(FACES)]
    for number, file in enumerate(files):
        paint(folder / "img_align_celeba" / file, number, (178, 218))
    (folder / "list_attr_celeba.txt").write_text(attribute_table(files, has), encoding="utf-8")
    parts = "".join(f"{file} {number % 3}\n" for number, file in enumerate(files))
    (folder / "list_eval_partition.txt").write_text(parts, encoding="utf-8")
    return folder, has.astype(bool)


def write_celeba_hq(root: Path) -> tuple[Path, np.ndarray]:
    """Forty faces with random attributes, as CelebAMask-HQ.zip unpacks; returns the attributes."""
    folder, has = root / "celeba-hq" / "CelebAMask-HQ", RNG.integers(0, 2, (FACES, len(ATTRIBUTES)))
    files = [f"{number}.jpg" for number in range(FACES)]
    for number, file in enumerate(files):
        paint(folder / "CelebA-HQ-img" / file, number, (64, 64))
    (folder / "CelebAMask-HQ-attribute-anno.txt").write_text(attribute_table(files, has), encoding="utf-8")
    return folder, has.astype(bool)


def write_eurosat(root: Path, place: str = "2750", end: str = ".jpg") -> list[str]:
    """Four images of each class; returns their paths."""
    paths = [f"{name}/{name}_{number}{end}" for name in EuroSAT.classes or () for number in range(1, 5)]
    for number, path in enumerate(paths):
        paint(root / "eurosat" / place / path, number, (64, 64))
    return paths


def hashed(paths: Sequence[str]) -> tuple[int, int]:
    """How many paths the hash puts into train and test."""
    test = sum(map(falls_into_test, paths))
    return len(paths) - test, test


def write_camelyon(root: Path) -> Path:
    """Patches of the five hospitals, four each, of which one is held out; returns the folder."""
    folder = root / "camelyon17" / "camelyon17_v1.0"
    rows = [",patient,node,x_coord,y_coord,tumor,slide,center,split"]
    for number in range(20):
        center, patient = number % 5, f"{number:03}"
        rows.append(f"{number},{patient},{number % 4},{32 * number},7,{number % 2},0,{center},{int(number > 14)}")
        name = f"patient_{patient}_node_{number % 4}"
        paint(folder / "patches" / name / f"patch_{name}_x_{32 * number}_y_7.png", 10 * number, (96, 96))
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def write_imagenet(root: Path) -> Path:
    """Four train images and two val images of each of `SYNSETS`; returns the folder."""
    folder = root / "imagenet"
    for label, synset in enumerate(SYNSETS):
        for number in range(4):
            paint(folder / "train" / synset / f"{synset}_{number}.JPEG", 60 * label + number, (50, 40))
        for number in range(2):
            paint(folder / "val" / synset / f"ILSVRC2012_val_{2 * label + number:08}.JPEG", 60 * label, (50, 40))
    return folder


def write_places(root: Path) -> Path:
    """Three train images and one val image of each of `PLACES`; returns the folder."""
    folder = root / "places365"
    train = [(f"{name}/{number:08}.jpg", label) for label, name in enumerate(PLACES) for number in range(1, 4)]
    val = [(f"Places365_val_{label:08}.jpg", label) for label in (2, 0, 1)]
    for place, listing, images in (
        ("data_256_standard", "train_standard", train),
        ("val_256", "val", val),
    ):
        for name, label in images:
            paint(folder / place / name.lstrip("/"), 60 * label, (64, 64))
        lines = "".join(f"{name} {label}\n" for name, label in images)
        (folder / f"places365_{listing}.txt").write_text(lines, encoding="utf-8")
    categories = "".join(f"{name} {label}\n" for label, name in enumerate(PLACES))
    (folder / "categories_places365.txt").write_text(categories, encoding="utf-8")
    return folder


def write_batches(plugin: Any, root: Path, packed: bool = False) -> dict[str, dict[str, Any]]:
    """Three images per train file and four of val; returns the content of the files by name."""
    folder, side = root / plugin.name, plugin.resolution
    folder.mkdir(parents=True)
    files = {}
    for name, count in {**{f"train_data_batch_{i}": 3 for i in range(1, 11)}, "val_data": 4}.items():
        data = RNG.integers(0, 256, (count, 3 * side**2), dtype=np.uint8)
        files[name] = {"data": data, "labels": RNG.integers(1, 1001, count).tolist(), "mean": data.mean(0)}
        if packed:
            np.savez(folder / f"{name}.npz", **files[name])
        else:
            (folder / name).write_bytes(pickle.dumps(files[name], protocol=2))
    return files


def write_emnist(root: Path, patch: pytest.MonkeyPatch, edition: str = "letters") -> dict[str, np.ndarray]:
    """A few characters of an edition, transposed as published, which declares as many; returns the content by file."""
    raw, counts = root / "emnist" / "EMNIST" / "raw", {"train": 12, "test": 7}
    raw.mkdir(parents=True, exist_ok=True)
    of = EDITIONS[edition]
    patch.setitem(EDITIONS, edition, of._replace(n_train=counts["train"], n_test=counts["test"]))
    files: dict[str, np.ndarray] = {}
    for split, n in counts.items():
        files[f"{split}-images"] = RNG.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        files[f"{split}-labels"] = RNG.integers(of.first, of.first + len(of.classes), n, dtype=np.uint8)
        for kind, axes in (("images", 3), ("labels", 1)):
            path = raw / f"emnist-{edition}-{split}-{kind}-idx{axes}-ubyte"
            path.write_bytes(idx(files[f"{split}-{kind}"]))
    return files
