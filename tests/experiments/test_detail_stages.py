"""Every detail stage on the same coarse images: a whole small run, its rows, its sheet, and its errors."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest
import torch
import typer
from PIL import Image

from dpbench.core.files import read_json
from dpbench.core.method import Preset
from dpbench.core.registries import METRICS, REFINERS
from dpbench.methods.wavelet import Wavelet
from dpbench.results.samples import read_conditions
from experiments import _refinement, detail_stages
from experiments._coarse import Source, block_error, coarse_set
from experiments._refinement import Options, Stage, result_path

SETTINGS = {
    "levels": 1, "codes": 8, "detail_codes": 8, "code_dim": 4, "tokenizer_dim": 8, "tokenizer_heads": 1,
    "tokenizer_depth": 1, "tokenizer_steps": 3, "tokenizer_batch": 8, "dim": 8, "depth": 1, "heads": 1,
    "public_steps": 3, "public_batch": 8, "batch": 50, "steps": 2,
}  # fmt: skip

STAGES = "bicubic,bicubic[consistency=project]"

OPTIONS = Options((1.0, 10.0), 7, 3.0, ("fwd", "scales"), Path("d"), "folder:p", Path("o"))


@pytest.fixture
def small(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Wavelet, "presets", {"small": Preset(SETTINGS)})
    monkeypatch.setitem(_refinement.PUBLIC, "tiny", "tiny-public")
    return tiny


def run(out: Path, **options: object) -> None:
    fixed = {
        "datasets": "tiny", "refiners": STAGES, "eps": "10", "samples": 20, "seconds": 60.0, "metrics": "brightness",
        "photographs": "", "data": out / "data", "out": out, "report": out / "report", "jobs": 0, "table_only": False,
        "public_benchmark": False,
    }  # fmt: skip
    detail_stages.main(**(fixed | options))


def test_every_stage_refines_the_same_coarse_images_and_the_rows_say_what_it_cost(small, capsys):
    run(small)
    run(small, jobs=1, table_only=True)
    rows = pd.read_csv(small / "report/detail_stages.csv")
    assert list(zip(rows["coarse"], rows["refiner"], strict=True)) == [
        (source, stage) for source in ("real", "ε = 10") for stage in STAGES.split(",")
    ]
    assert (rows["n_samples"] == 20).all()
    assert rows["brightness"].notna().all()
    assert (rows["seconds_per_image"] > 0).all()
    plain, projected = (rows[rows["refiner"] == stage]["ll_error"] for stage in STAGES.split(","))
    assert (projected < 0.01).all()
    assert (plain.to_numpy() > projected.to_numpy()).all()
    for source in ("real", "eps10"):
        assert (small / f"report/detail-tiny-{source}.png").stat().st_size > 1000
    assert "Detail stages on tiny" in capsys.readouterr().out


def test_what_is_finished_is_not_run_again(small, monkeypatch):
    run(small, refiners="bicubic")
    monkeypatch.setattr("experiments._refinement.coarse_set", lambda *_: pytest.fail("ran again"))
    run(small, refiners="bicubic")


def test_scores_of_other_metrics_are_added_to_the_same_images(small, monkeypatch):
    run(small, refiners="bicubic")
    monkeypatch.setattr("experiments._refinement.refine", lambda *_: pytest.fail("refined again"))
    run(small, refiners="bicubic", metrics="spectrum")
    monkeypatch.setattr("dpbench.evaluate", lambda *_, **__: pytest.fail("scored again"))
    run(small, refiners="bicubic", metrics="spectrum,brightness")
    run(small, refiners="bicubic", jobs=1, table_only=True)
    rows = pd.read_csv(small / "report/detail_stages.csv")
    assert rows[["brightness", "spectrum"]].notna().all(axis=None)


def test_coarse_images_are_drawn_once_with_their_classes(small):
    drawn = [coarse_set("tiny", "tiny-public", Source(10.0), 6, small / "data", small) for _ in range(2)]
    assert drawn[0].images.shape[:2] == (6, 4)
    assert torch.equal(drawn[0].images, drawn[1].images)
    assert len(drawn[0].conditions.labels) == 6


def test_a_slow_stage_refines_fewer_images(small, monkeypatch):
    monkeypatch.setattr("experiments._refinement.FEWEST", 5)
    run(small, refiners="bicubic", seconds=0.0)
    options = Options((10.0,), 20, 0.0, ("brightness",), small / "data", "", small)
    row = read_json(result_path("tiny", Source(10.0), Stage.of("bicubic"), options))
    assert row["n_samples"] == 5
    conditions = read_conditions(Path(row["samples"]))
    assert conditions.count == len(conditions.labels) == 5


def test_photographs_need_a_public_source(small, capsys):
    with pytest.raises(typer.Exit):
        run(small, datasets="cifar10")
    assert "--photographs" in capsys.readouterr().err


def test_a_folder_that_is_not_declared_public_is_refused_before_its_images_are_shown(small, capsys):
    for split in ("train", "test"):
        (small / "mine" / split).mkdir(parents=True)
        for shade in range(4):
            Image.new("L", (8, 8), 60 * shade).save(small / "mine" / split / f"{shade}.png")
    with pytest.raises(typer.Exit):
        run(small, datasets=f"folder:{small / 'mine'}", photographs="tiny-public")
    assert "--public-benchmark" in capsys.readouterr().err
    assert not (small / "trials").exists()


def test_stages_without_their_weights_are_left_out_by_default_and_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("DPBENCH_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("DPBENCH_CACHE", str(tmp_path))
    stages = detail_stages.default_stages()
    assert {"bicubic", "residual", "residual[consistency=project]"} <= {*stages}
    assert not any(name.startswith(("pretrained", "diffusers")) for name in stages)
    assert "pretrained is left out" in capsys.readouterr().err


def test_nothing_finished_is_an_error(small, capsys):
    with pytest.raises(typer.Exit):
        run(small, table_only=True, jobs=1)
    assert "nothing is finished" in capsys.readouterr().err


def test_a_command_holds_every_option_that_changes_the_result():
    command = detail_stages.command("shapes", Stage.of("bicubic"), OPTIONS)
    assert {"shapes", "bicubic", "1,10", "7", "3.0", "fwd,scales", "d", "folder:p", "o"} <= set(command)
    assert "--public-benchmark" not in command
    declared = dataclasses.replace(OPTIONS, public_benchmark=True)
    assert "--public-benchmark" in detail_stages.command("folder:p", Stage.of("bicubic"), declared)
    assert len(dataclasses.fields(OPTIONS)) == 8


@pytest.mark.parametrize(
    "changed",
    [{"samples": 8}, {"seconds": 4.0}, {"data": Path("e")}, {"photographs": "folder:q"}],
)
def test_rows_of_other_options_are_not_reused(changed):
    first, second = (
        result_path("coco", Source(1.0), Stage.of("bicubic"), options)
        for options in (OPTIONS, dataclasses.replace(OPTIONS, **changed))
    )
    assert first != second


def test_rows_are_kept_with_further_budgets_and_metrics_but_not_by_other_code():
    def path(stage, options=OPTIONS):
        return result_path("shapes", Source(1.0), stage, options)

    stage = Stage.of("bicubic")
    assert path(stage) == path(stage, dataclasses.replace(OPTIONS, epsilons=(1.0,), metrics=("fwd",)))
    assert path(stage) != path(dataclasses.replace(stage, plugin=REFINERS.get("regression")))


def test_the_columns_of_the_table_are_those_of_the_metrics():
    names = ("accuracy", "fwd", "scales", "texture", "spectrum", "lpips")
    assert {*detail_stages.SHOWN} <= {column.name for name in names for column in METRICS.get(name).columns}


def test_the_error_of_the_coarse_band_is_in_pixels_from_0_to_1():
    coarse = 1.2 * torch.rand(2, 1, 4, 4) - 1
    images = ((coarse + 1) / 2 * 255).round().to(torch.uint8).repeat_interleave(2, -1).repeat_interleave(2, -2)
    assert block_error(images, coarse) < 1 / 255
    assert block_error(images + 51, coarse) == pytest.approx(0.2, abs=0.01)


def test_detail_stages_are_trained_with_the_augmentation_of_the_coarse_stage_unless_they_name_another():
    assert Stage.of("regression").refiner("strokes").config.augmentation == "strokes"
    assert Stage.of("regression[augmentation=flip]").refiner("strokes").config.augmentation == "flip"
    assert Stage.of("bicubic[consistency=project]").refiner("strokes").config.consistency == "project"
