"""Small files of the downloaded datasets in their real formats."""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dpbench.data.sets.torchvision_sets import CIFAR10

N = {"train": 12, "t10k": 7}
RNG = np.random.default_rng(0)
DIGITS = {split: RNG.integers(0, 256, (n, 28, 28), dtype=np.uint8) for split, n in N.items()}
LABELS = {split: RNG.integers(0, 10, n, dtype=np.uint8) for split, n in N.items()}

CHARACTERS = ["Greek/character01", "Greek/character02", "Korean/character01"]


def idx(array: np.ndarray) -> bytes:
    """An array in the format of MNIST's files."""
    return np.array([0x800 + array.ndim, *array.shape], dtype=">u4").tobytes() + array.tobytes()


def write_idx(plugin: Any, root: Path, patch: pytest.MonkeyPatch) -> Path:
    """Writes a dozen digits where the plugin looks for them, and declares as many; returns their folder."""
    patch.setattr(plugin, "n_train", N["train"])
    patch.setattr(plugin, "n_test", N["t10k"])
    raw = root / plugin.name / plugin.source / "raw"
    raw.mkdir(parents=True)
    for split in N:
        (raw / f"{split}-images-idx3-ubyte").write_bytes(idx(DIGITS[split]))
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(idx(LABELS[split]))
    return raw


def write_cifar(plugin: Any, root: Path, patch: pytest.MonkeyPatch) -> tuple[Path, dict, dict]:
    """Writes pickles of four images in CIFAR's format, their MD5 made known to torchvision, and declares as many.

    Returns their folder, and the images and labels by file name.
    """
    source, per_file = plugin.reader(), 4
    folder = root / plugin.name / source.base_folder
    folder.mkdir(parents=True)
    key = "labels" if plugin is CIFAR10 else "fine_labels"
    images, labels, md5 = {}, {}, {}
    for name, _ in (*source.train_list, *source.test_list):
        images[name] = RNG.integers(0, 256, (per_file, 3072), dtype=np.uint8)
        labels[name] = RNG.integers(0, len(plugin.classes), per_file).tolist()
        content = pickle.dumps({"data": images[name], key: labels[name]}, protocol=2)
        (folder / name).write_bytes(content)
        md5[name] = hashlib.md5(content).hexdigest()
    meta = pickle.dumps({source.meta["key"]: list(plugin.classes)}, protocol=2)
    (folder / source.meta["filename"]).write_bytes(meta)
    patch.setattr(source, "meta", source.meta | {"md5": hashlib.md5(meta).hexdigest()})
    for listing in ("train_list", "test_list"):
        patch.setattr(source, listing, [[name, md5[name]] for name, _ in getattr(source, listing)])
    patch.setattr(plugin, "n_train", per_file * len(source.train_list))
    patch.setattr(plugin, "n_test", per_file * len(source.test_list))
    return folder, images, labels


def draw_characters(folder: Path) -> None:
    """Twenty drawings of each of `CHARACTERS`: 105×105, one bit a pixel, a black bar on white."""
    for number, character in enumerate(CHARACTERS):
        (folder / character).mkdir(parents=True)
        for drawer in range(20):
            pixels = np.full((105, 105), 255, dtype=np.uint8)
            pixels[20:80, 30 + drawer : 40 + drawer + 5 * number] = 0
            Image.fromarray(pixels).convert("1").save(folder / character / f"{number + 1:04}_{drawer + 1:02}.png")


def paint(path: Path, shade: int, size: tuple[int, int] = (32, 32)) -> None:
    """An image of one colour; the red channel is the shade."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade, shade // 2, 255 - shade)).save(path)


def paint_pets(folder: Path) -> Path:
    """Cats and dogs, 30 of each, shades 0 to 59; returns the folder."""
    for shade in range(60):
        paint(folder / ("cats" if shade < 30 else "dogs") / f"{shade:02}.png", shade)
    return folder


def pack(folder: Path, around: str = "") -> Path:
    """The folder as a zip beside it."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, around + str(file.relative_to(folder)))
    return path
