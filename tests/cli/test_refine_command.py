"""`dpbench refine` with a refiner that needs no training."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from calling import PLUGIN, call
from PIL import Image
from typer.testing import Result


def _refine(folder: Path, out: Path, *arguments: object) -> Result:
    fixed = ["--refiner", "bicubic", "--public", "tiny-public", "--device", "cpu"]
    return call("refine", "--input", folder, "--out", out, *fixed, *arguments)


def test_refine_prints_output_folder_and_progress(tiny: Path) -> None:
    folder = tiny.parent / "coarse"
    folder.mkdir()
    Image.new("L", (4, 4), 90).save(folder / "a.png")
    (folder / "notes.txt").touch()
    result = _refine(folder, tiny, "--scale", "2", "--seed", "3", "--plugin", PLUGIN)
    assert (result.exit_code, result.stdout) == (0, f"1 image in {tiny}; before and after: {tiny / 'sheet.png'}\n")
    assert Image.open(tiny / "a.png").size == (8, 8)
    assert "ignored files that are not images: notes.txt" in result.stderr
    assert re.search(r"  refining: 1 in \d+\.\d s\n", result.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "coarse (No such file or directory); give a folder of images"),
        (["--scale", "3"], "scale must be a power of two"),
        (["--refiner", "regressoin"], "did you mean regression"),
        (["--set", "steps=2"], "refiner 'bicubic': unknown setting 'steps'"),
        (["--set", "steps"], "'steps' is not a setting; write key=value"),
        (["--refiner", "regression", "--public", "textires"], "did you mean textures"),
        (["--plugin", "/nowhere.py"], "plugin file /nowhere.py does not exist"),
    ],
)
def test_invalid_refine_request_gives_a_one_line_error(tiny: Path, arguments: list[str], message: str) -> None:
    folder = tiny.parent / "coarse"
    if arguments:
        folder.mkdir()
        Image.new("RGB", (4, 4)).save(folder / "a.png")
    result = _refine(folder, tiny, *arguments)
    assert result.exit_code == 2
    (line,) = (line for line in result.stderr.splitlines() if not line.startswith("  reading: "))
    assert line.startswith("error: ")
    assert message in line
    assert not tiny.exists()
