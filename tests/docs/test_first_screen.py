"""docs/first_screen.py: one run renews the picture and the table of the README."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import ModuleType

import events
import numpy as np
import pytest
import typer
from docs_scripts import docs_script
from PIL import Image

from dpbench import RunRequest
from dpbench.cli import app

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script() -> ModuleType:
    return docs_script("first_screen")


def test_one_run_writes_picture_and_table(tiny: Path, script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "COLUMNS", ("accuracy", "brightness"))  # the first has no value here
    request = RunRequest(methods=("fake",), dataset="tiny", epsilons=(1.0, 5.0), public="tiny-public", samples=30,
                         delta=1e-6, metrics=("brightness",), device="cpu", out=tiny)  # fmt: skip
    readme, picture = tiny.parent / "README.md", tiny.parent / "images" / "samples.png"
    readme.write_text(f"# title\n\n{script.START}\nold\n{script.END}\n\nmore\n", encoding="utf-8")
    script.write_first_screen(request, readme, picture)
    first = readme.read_text(encoding="utf-8")
    assert first.startswith(f"# title\n\n{script.START}\n| method | ε | brightness |\n|---|---|---|\n| real imag")
    assert first.endswith(f"```\n{script.END}\n\nmore\n")
    assert "old" not in first
    names = [line.split("|")[1:3] for line in first.splitlines() if line.startswith("|")][2:]
    assert names == [
        [" real images ", "  "],
        [" fake, public part alone ", " 0 "],
        [" fake ", " 1 "],
        [" fake ", " 5 "],
    ]
    assert "`tiny`, seed 0, `small` preset, 30 samples per row, 0 minutes of computing (cpu)" in first
    assert "\ndpbench run --method fake --dataset tiny --eps 1,5 --delta 1e-06 " in first
    assert picture.read_bytes() == (tiny / "tiny" / "samples.png").read_bytes()

    script.write_first_screen(request, readme, picture)
    assert readme.read_text(encoding="utf-8") == first
    assert events.EVENTS.count("fit") == 2


def test_page_without_markers_is_an_error_before_the_run(tiny: Path, script: ModuleType) -> None:
    (tiny.parent / "page.md").write_text(script.START)
    with pytest.raises(SystemExit, match="lacks the markers"):
        script.write_first_screen(script.DEMO, tiny.parent / "page.md", tiny.parent / "samples.png")


def test_large_pictures_get_fewer_colours(script: ModuleType, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > script.LARGEST
    content = script.reduced(tmp_path / "sheet.png")
    (tmp_path / "reduced.png").write_bytes(content)
    assert len(content) <= script.LARGEST
    reduced = np.asarray(Image.open(tmp_path / "reduced.png").convert("RGB")).astype(int)
    assert 5 < np.abs(reduced - noise).mean() < 40


def test_the_command_is_that_of_make_demo(script: ModuleType) -> None:
    recipe = next(line for line in (ROOT / "Makefile").read_text().splitlines() if "dpbench run" in line)
    run = typer.main.get_command(app).commands["run"]  # type: ignore[attr-defined]
    params = run.make_context("run", shlex.split(recipe)[2:]).params
    assert (params["methods"], params["epsilons"]) == ("wavelet", "1,5,10")
    samples = int(params["samples"])
    assert RunRequest(methods=("wavelet",), epsilons=(1.0, 5.0, 10.0), samples=samples) == script.DEMO


def test_the_readme_has_the_markers(script: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.index(script.START) < readme.index("| real images |") < readme.index(script.END)
