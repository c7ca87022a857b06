"""Every private run is recorded, for any output folder and dataset name; an unrecorded run gets no row."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from record import recorded
from rich.console import Console

import dpbench
from dpbench.benchmark.trials import stages
from dpbench.cli.pages.leaderboard_page import leaderboard_page
from dpbench.core.errors import DpbenchError
from dpbench.core.folders import state_folder
from dpbench.privacy.noise import NoiseSource
from dpbench.results.leaderboard_rows import collect


def run(out: Path, dataset: str = "tiny", method: str = "alone", **options: Any) -> pd.DataFrame:
    defaults: dict[str, Any] = {
        "samples": 10, "delta": 1e-6, "metrics": ["brightness"], "references": (), "device": "cpu",
    }  # fmt: skip
    return dpbench.run(method, dataset, out=out, **(defaults | options))


def files() -> list[Path]:
    return sorted((state_folder() / "records").glob("*.jsonl"))


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Forty images without classes."""
    folder = tmp_path / "faces"
    folder.mkdir()
    for shade in range(40):
        Image.new("RGB", (32, 32), (shade, 2 * shade, 255 - shade)).save(folder / f"{shade:02}.png")
    return folder


def pack(folder: Path, path: Path, around: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.png")):
            archive.write(file, around + file.name)
    return path


def test_all_paths_of_a_folder_share_a_record(tiny: Path, faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(faces.parent)
    link = faces.parent / "link"
    link.symlink_to(faces)
    names = [
        str(faces), "faces", "./faces/", f"{faces}/../faces", str(link),
        str(pack(faces, faces.parent / "plain.zip")), str(pack(faces, faces.parent / "wrapped.zip", "faces/")),
    ]  # fmt: skip
    for number, name in enumerate(names):
        run(tiny / str(number), f"folder:{name}")  # also with different output folders
    assert len(files()) == 1
    assert len(recorded()) == len(names)
    for number, options in enumerate([{"resolution": 16}, {"public_benchmark": True}, {"epsilons": (3.0,)}]):
        run(tiny / f"more {number}", "folder:faces", **options)
    run(tiny / "grey", "folder:faces?gray")
    assert len(files()) == 1
    assert sum(line["epsilon"] for line in recorded()) == len(names) + 6


def test_other_images_have_a_separate_record(tiny: Path, faces: Path) -> None:
    run(tiny, f"folder:{faces}")
    Image.new("RGB", (32, 32), "white").save(faces / "00.png")
    run(tiny, f"folder:{faces}")
    assert [len(path.read_text().splitlines()) for path in files()] == [1, 1]


def test_leaderboard_counts_runs_of_other_result_folders(tiny: Path, faces: Path) -> None:
    for out in (tiny / "a", tiny / "b"):
        run(out, f"folder:{faces}")
    text = shown(tiny / "a")
    assert "2 private runs so far, Σε = 2" in text
    assert "lacks" not in text


def test_leaderboard_reports_rows_missing_from_the_record(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tiny, seeds=2, references=["public"], method="fake", public="tiny-public")
    monkeypatch.setenv("DPBENCH_STATE", str(tiny.parent / "another machine"))
    run(tiny, epsilons=(2.0,))
    text = shown(tiny)
    assert "1 private run so far, Σε = 2" in text
    assert "3 private rows on tiny, but the record on this machine lacks 2 of their runs" in text


def shown(out: Path) -> str:
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(leaderboard_page(collect(out)))
    return console.export_text()


def losing(monkeypatch: pytest.MonkeyPatch, lose: Any) -> None:
    """Makes the next trial call `lose` between its private phase and its sampling."""
    draw_samples = stages.draw_samples

    def once(*arguments: Any) -> None:
        monkeypatch.setattr(stages, "draw_samples", draw_samples)
        lose()
        draw_samples(*arguments)

    monkeypatch.setattr(stages, "draw_samples", once)


def test_run_lost_from_the_record_gets_no_row(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losing(monkeypatch, lambda: shutil.rmtree(state_folder()))
    with pytest.raises(DpbenchError, match=r"the privacy record .*\.jsonl lost this run .*, so it gets no row"):
        run(tiny)
    assert not list(tiny.rglob("trial.json"))
    assert not list(tiny.rglob("unscored.json"))
    monkeypatch.setattr(NoiseSource, "of", lambda *_: pytest.fail("something was drawn again"))
    assert run(tiny)["accounting"].tolist() == ["verified"]
    assert len(recorded()) == 1


def test_record_of_another_run_does_not_replace_a_lost_one(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tiny)
    [path] = files()
    before = path.read_text()
    losing(monkeypatch, lambda: path.write_text(before))  # a backup from before this run
    with pytest.raises(DpbenchError, match="lost this run"):
        run(tiny, force=True)


def test_record_is_kept_after_results_are_deleted(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losing(monkeypatch, lambda: shutil.rmtree(tiny))
    assert run(tiny)["accounting"].tolist() == ["verified"]
    assert len(recorded()) == 1
    shutil.rmtree(tiny)
    run(tiny)
    assert "2 private runs so far, Σε = 2" in shown(tiny)
