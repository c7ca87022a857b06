"""Damaged images are found before a private run is recorded, and images are checked once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import events
import numpy as np
import pandas as pd
import pytest
from dataset_files import paint
from PIL import Image
from record import recorded

import dpbench
from dpbench.benchmark import inputs
from dpbench.core.errors import DataError, DpbenchError


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    for place in ("faces/train", "faces/test", "photos"):
        for shade in range(30):
            paint(tmp_path / place / f"{shade:02}.png", shade, size=(16, 16))
    return tmp_path / "faces"


def run(out: Path, faces: Path, **options: Any) -> pd.DataFrame:
    defaults: dict[str, Any] = {
        "samples": 10, "delta": 1e-6, "metrics": ["brightness"], "references": (), "device": "cpu", "resolution": 16,
        "public": f"folder:{faces.parent}/photos",
    }  # fmt: skip
    return dpbench.run("fake", f"folder:{faces}", out=out, **(defaults | options))


@pytest.mark.parametrize("place", ["faces/train", "faces/test", "photos"])
def test_a_damaged_image_of_any_split_is_found_before_the_run_counts(tiny: Path, faces: Path, place: str) -> None:
    damaged = faces.parent / place / ("00.png" if place == "photos" else "29.png")
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-40])
    with pytest.raises(DataError, match=f"{damaged} cannot be read .*; replace or remove it"):
        run(tiny, faces)
    assert events.EVENTS == []
    assert recorded() == []
    assert not tiny.exists()
    damaged.write_bytes(whole)
    assert len(run(tiny, faces)) == 1
    assert len(recorded()) == 1


def test_images_are_checked_once(tiny: Path, faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    check_images = inputs.check_images
    monkeypatch.setattr(
        inputs, "check_images", lambda split, name, display: checked.append(name) or check_images(split, name, display)
    )
    run(tiny, faces)
    run(tiny, faces, epsilons=(2.0,))
    assert checked == ["train", "test", "public"]
    run(tiny, faces)
    run(tiny, faces, references=["real"], epsilons=())
    assert checked == ["train", "test", "public"]
    paint(faces / "test/00.png", 99, size=(16, 16))
    run(tiny, faces, epsilons=(3.0,))
    assert checked[3:] == ["test"]
    names = {path.name for path in (tiny.parent / "state" / "checked").iterdir() if not path.name.startswith(".")}
    fingerprints = {run(tiny, faces)["dataset_fingerprint"][0]}
    assert len(names) == 5  # one is that public and sensitive images have none in common
    assert fingerprints < names  # keyed with the user's secret


def test_a_copy_of_the_sensitive_images_is_not_public(tiny: Path, faces: Path) -> None:
    for number, path in enumerate(sorted((faces / "train").iterdir())):
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    (faces.parent / "copy").mkdir()
    for path in (faces / "train").iterdir():
        shutil.copy(path, faces.parent / "copy" / f"holiday{path.name}")
    with pytest.raises(DataError, match=r"29 images of the 29 of the public source .*/copy' are also in the sensitive"):
        run(tiny, faces, public=f"folder:{faces.parent}/copy")
    assert recorded() == []
    assert events.EVENTS == []


def test_a_moved_folder_is_not_trained_on_again(tiny: Path, faces: Path) -> None:
    run(tiny, faces)
    moved = faces.rename(faces.parent / "moved")
    with pytest.raises(DpbenchError, match=r"fake/\S* has this trial already, on the same images under another name"):
        run(tiny, moved)
    assert len(recorded()) == 1
    assert len(run(tiny.parent / "elsewhere", moved)) == 1
    assert len(run(tiny, moved.rename(faces))) == 1
    assert len(recorded()) == 2


def test_spellings_of_a_path_are_one_dataset(tiny: Path, faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(faces.parent)
    monkeypatch.setenv("HOME", str(faces.parent))
    (faces.parent / "link").symlink_to(faces)
    names = [str(faces), "faces", "./faces/", "link", "~/faces", "photos/../faces"]
    rows = [dpbench.run("fake", f"folder:{name}", public="folder:photos", samples=10, delta=1e-6, device="cpu",
                        metrics=["brightness"], references=(), resolution=16, out=tiny) for name in names]  # fmt: skip
    assert {(row["key"][0], row["dataset"][0]) for row in rows} == {(rows[0]["key"][0], f"folder:{faces}")}
    assert {row["public_source"][0] for row in rows} == {f"folder:{faces.parent}/photos"}
    assert len(recorded()) == 1
    for name in names:
        assert len(dpbench.evaluate_all(tiny, ["brightness"], datasets=[f"folder:{name}"], device="cpu")) == 1
