"""Real coarse bands of photographs through the detail stages: a small run, its numbers and its errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import typer
from PIL import Image

from dpbench.core.registries import REFINERS
from experiments import photographs
from experiments._refinement import Stage
from experiments.photographs import SHOWN, Options, row_path, stored


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve noisy pictures per split, of 32 pixels."""
    monkeypatch.setattr(photographs, "SIZE", 32)
    monkeypatch.setattr(photographs, "TILE", 16)
    for variable in ("CACHE", "STATE", "DATA"):
        monkeypatch.setenv(f"DPBENCH_{variable}", str(tmp_path / variable))
    draw = np.random.default_rng(0)
    for split in ("train2017", "val2017"):
        (tmp_path / "photos" / split).mkdir(parents=True)
        for number in range(12):
            pixels = draw.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / split / f"{number}.png")
    return tmp_path / "photos"


def run(photos: Path, **options: object) -> None:
    out = photos.parent
    fixed = {
        "photos": photos, "sides": "8", "refiners": "bicubic,bicubic[consistency=project]", "images": 6,
        "seconds": 60.0, "out": out / "out", "report": out / "report", "table_only": False,
    }  # fmt: skip
    photographs.main(**(fixed | options))


def test_the_table_compares_with_the_photographs_and_with_the_coarse_images(photos, monkeypatch):
    run(photos)
    rows = pd.read_csv(photos.parent / "report/photographs.csv")
    plain, projected = (rows.iloc[number] for number in (0, 1))
    assert rows["refiner"].tolist() == ["bicubic", "bicubic[consistency=project]"]
    assert (rows["images"] == 6).all()
    assert projected["ll_error"] < 0.01 < plain["ll_error"]
    assert projected["psnr"] > plain["psnr"]  # the projection only comes nearer
    assert (rows["energy"] < 0.2).all()  # interpolation has hardly any of the noise's detail
    assert rows[[*SHOWN]].notna().all(axis=None)
    assert (photos.parent / "report/photographs-8.jpg").stat().st_size > 1000
    monkeypatch.setattr(photographs, "BlockMeans", lambda *_: pytest.fail("refined again"))
    run(photos)


def test_a_slow_stage_refines_fewer_photographs(photos):
    run(photos, refiners="bicubic", seconds=0.0)
    rows = pd.read_csv(photos.parent / "report/photographs.csv")
    assert rows["images"].tolist() == [photographs.FEWEST]


def test_the_photographs_themselves_have_no_error_and_all_the_detail():
    images = torch.randint(256, (3, 3, 32, 32), dtype=torch.uint8)
    assert photographs.psnr(images, images) > 100
    assert photographs.psnr(images.clamp(max=245) + 10, images.clamp(max=245)) == pytest.approx(28.13, abs=0.01)
    flat = torch.full_like(images, 9)
    assert photographs.detail_energy(flat, 4) == 0
    blocks = torch.randint(256, (3, 3, 8, 8), dtype=torch.uint8).repeat_interleave(4, -1).repeat_interleave(4, -2)
    assert photographs.detail_energy(blocks, 4) < 1e-9 < photographs.detail_energy(blocks, 8)


@pytest.mark.parametrize("sides", ["7", "32", "one", "1"])
def test_wrong_sides_are_one_line(photos, sides, capsys):
    with pytest.raises(typer.Exit):
        run(photos, sides=sides)
    assert f"--sides must be powers of two below 32, not '{sides}'" in capsys.readouterr().err


def test_nothing_finished_is_an_error(photos, capsys):
    with pytest.raises(typer.Exit):
        run(photos, table_only=True)
    assert "nothing is finished" in capsys.readouterr().err
    assert stored(8, Stage.of("bicubic"), Options(photos, 6, 60.0, photos.parent / "out")) is None


@pytest.mark.parametrize("changed", [{"photos": Path("others")}, {"images": 7}, {"seconds": 9.0}])
def test_rows_of_other_options_are_not_reused(changed):
    options, stage = Options(Path("photos"), 6, 60.0, Path("out")), Stage.of("bicubic")
    assert row_path(8, stage, options) != row_path(8, stage, replace(options, **changed))
    assert row_path(8, stage, options) != row_path(8, replace(stage, plugin=REFINERS.get("regression")), options)
