"""A dataset that changes during fit gives no row and no samples, and nothing of the run is reused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fakes
import pandas as pd
import pytest
from PIL import Image
from record import recorded

import dpbench
from dpbench import METHODS
from dpbench.core.errors import DataError

COUNT = 40


def paint(path: Path, shade: int) -> None:
    Image.new("RGB", (16, 16), (shade, 2 * shade, 255 - shade)).save(path)


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    for split in ("train", "test"):
        (tmp_path / "faces" / split).mkdir(parents=True)
        for shade in range(COUNT):
            paint(tmp_path / "faces" / split / f"{shade:02}.png", shade)
    return tmp_path / "faces"


def replace_one(faces: Path) -> None:
    size = (faces / "train/07.png").stat().st_size
    paint(faces / "train/07.png", 8)
    assert (faces / "train/07.png").stat().st_size == size


CHANGES: dict[str, Callable[[Path], object]] = {
    "another image of the same size": replace_one,
    "a record more": lambda faces: paint(faces / "train/99.png", 99),
    "a record less": lambda faces: (faces / "train/07.png").unlink(),
    "two that changed places": lambda faces: (faces / "train/07.png").replace(faces / "train/08.png"),
}


def run(out: Path, faces: Path, **options: Any) -> pd.DataFrame:
    defaults: dict[str, Any] = {
        "samples": 10, "delta": 1e-6, "metrics": ["brightness"], "references": (), "device": "cpu", "resolution": 16,
    }  # fmt: skip
    return dpbench.run("changing", f"folder:{faces}", out=out, **(defaults | options))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_data_change_during_fit_raises_an_error_and_keeps_no_results(tiny: Path, faces: Path, change) -> None:
    before = {path: path.read_bytes() for path in faces.rglob("*.png")}
    changed = tiny.parent / "changed"

    class Changing(fakes.FakeAlone):
        def fit(self, private, run) -> None:
            super().fit(private, run)
            if not changed.exists():
                changed.touch()
                change(faces)

    METHODS.register("changing")(Changing)
    with pytest.raises(DataError, match="changed while a trial learned from it"):
        run(tiny, faces)
    for name in ("trial.json", "unscored.json", "*.npy", "*.pt", "model.safetensors"):
        assert not list(tiny.rglob(name)), name
    for path in faces.rglob("*.png"):
        path.unlink()
    for path, content in before.items():
        path.write_bytes(content)
    rows = run(tiny, faces)  # the same trial, because the files are restored
    assert rows["accounting"].tolist() == ["verified"]
    assert len(recorded()) == 2


def test_folder_deleted_during_fit_raises_an_error(tiny: Path, faces: Path) -> None:
    class Changing(fakes.FakeAlone):
        def fit(self, private, run) -> None:
            super().fit(private, run)
            faces.rename(faces.parent / "elsewhere")

    METHODS.register("changing")(Changing)
    with pytest.raises(DataError, match="does not exist"):
        run(tiny, faces)
    assert not list(tiny.rglob("trial.json"))


def test_other_files_in_the_folder_may_change(tiny: Path, faces: Path) -> None:
    class Changing(fakes.FakeAlone):
        def fit(self, private, run) -> None:
            super().fit(private, run)
            (faces / "train/07.png").touch()
            (faces / ".note").write_text("hidden files are no records")

    METHODS.register("changing")(Changing)
    assert len(run(tiny, faces)) == 1
