"""Refiners without a method: from a folder of coarse images to a folder of full images and a sheet."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_upscalers import save_network

import dpbench
from dpbench.benchmark.commands.refining import Refined, refine
from dpbench.core.errors import DpbenchError

QUICK = {"channels": [8], "patch": 2, "steps": 1, "batch": 4, "sampling_steps": 2}


def _save(path: Path, seed: int = 0, size: int = 4, mode: str = "RGB") -> None:
    path.parent.mkdir(exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3)).astype(np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


@pytest.fixture
def coarse(tiny: Path) -> Path:
    """Three colour images of 4 x 4 pixels."""
    for number, name in enumerate(("a.png", "b.bmp", "c.d.webp")):
        _save(tiny.parent / "coarse" / name, number)
    return tiny.parent / "coarse"


def _refine(coarse: Path, out: Path, refiner: str = "bicubic", **options: object) -> Refined:
    return refine(refiner, coarse, out, **({"public": "tiny-public", "device": "cpu"} | options))


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


def test_refined_images_keep_their_names(coarse: Path, tiny: Path) -> None:
    done = _refine(coarse, tiny)
    assert done.images == [tiny / "a.png", tiny / "b.png", tiny / "c.d.png"]
    assert sorted(tiny.iterdir()) == [*done.images, tiny / "sheet.png"]
    for path in done.images:
        assert _pixels(path).shape == (16, 16, 3)
    assert dpbench.refine is refine


def test_bicubic_output_equals_the_refiner(coarse: Path, tiny: Path) -> None:
    _refine(coarse, tiny, scale=2)
    image = torch.from_numpy(_pixels(coarse / "a.png")).permute(2, 0, 1)[None].float()
    wanted = torch.nn.functional.interpolate(image, scale_factor=2, mode="bicubic").clamp(0, 255)[0].permute(1, 2, 0)
    assert np.abs(_pixels(tiny / "a.png") - wanted.numpy()).max() <= 1


@pytest.mark.parametrize("mode", ["L", "1", "LA", "I;16"])
def test_grey_images_stay_grey(tiny: Path, mode: str) -> None:
    folder = tiny.parent / "coarse"
    _save(folder / "a.png", mode="L" if mode == "I;16" else mode)
    if mode == "I;16":
        Image.fromarray(_pixels(folder / "a.png").astype(np.uint16) * 257).save(folder / "a.png")
    _refine(folder, tiny, "residual", settings=QUICK)
    assert _pixels(tiny / "a.png").shape == (16, 16)


def test_grey_image_stays_grey_among_colour_images(coarse: Path, tiny: Path) -> None:
    _save(coarse / "grey.png", 7, mode="L")
    Image.open(coarse / "grey.png").convert("RGB").save(coarse / "grey.png")
    _refine(coarse, tiny, "residual", settings=QUICK)
    assert _pixels(tiny / "grey.png").shape == (16, 16)
    assert _pixels(tiny / "a.png").shape == (16, 16, 3)


def test_images_depend_on_the_seed_only(coarse: Path, tiny: Path) -> None:
    def images(out: Path, **options: object) -> list[bytes]:
        done = _refine(coarse, out, "residual", settings=QUICK, **options)
        return [path.read_bytes() for path in (*done.images, done.sheet)]

    first = images(tiny)
    assert images(tiny) == first
    assert images(tiny, seed=1) != first
    assert len(list((tiny.parent / "cache/public").glob("residual-*.safetensors"))) == 1


def test_images_do_not_depend_on_the_batch_size(coarse: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = _refine(coarse, tiny / "1", "residual", settings=QUICK)
    monkeypatch.setattr("dpbench.benchmark.commands.refining.PIXELS_AT_ONCE", 256)
    alone = _refine(coarse, tiny / "2", "residual", settings=QUICK)
    for one, other in zip(together.images, alone.images, strict=True):
        assert np.abs(_pixels(one).astype(int) - _pixels(other)).max() <= 1


def test_training_on_large_images_uses_tiles(coarse: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dpbench.benchmark.commands.refining.TILE", 8)
    done = _refine(coarse, tiny, "regression", settings={"width": 8, "depth": 1, "steps": 1})
    assert _pixels(done.images[0]).shape == (16, 16, 3)


def test_refiner_that_needs_no_public_images_opens_none(coarse: Path, tiny: Path, monkeypatch) -> None:
    titles: list[str] = []
    monkeypatch.setattr(
        "dpbench.benchmark.commands.refining.write_sheet", lambda path, pairs, title: titles.append(title)
    )
    weights = save_network(tiny.parent / "some.safetensors")
    done = _refine(coarse, tiny, "pretrained", public="folder:/nowhere", settings={"weights": str(weights)})
    assert _pixels(done.images[0]).shape == (16, 16, 3)
    _refine(coarse, tiny, "regression", settings={"width": 8, "depth": 1, "steps": 1})
    assert titles == ["pretrained: 4×4 → 16×16", "regression: 4×4 → 16×16, detail learned from tiny-public"]


def test_sheet_shows_enlarged_images_next_to_refined_ones(coarse: Path, tiny: Path) -> None:
    sheet = _pixels(_refine(coarse, tiny).sheet)
    before = _pixels(coarse / "a.png").repeat(32, 0).repeat(32, 1)  # 4 -> 128 pixels
    after = _pixels(tiny / "a.png").repeat(8, 0).repeat(8, 1)
    places = [(y, x) for y in range(60) for x in range(20) if (sheet[y : y + 128, x : x + 128] == before).all()]
    ((y, x),) = places
    assert (sheet[y : y + 128, x + 130 : x + 258] == after).all()


def test_sheet_does_not_overwrite_an_image(coarse: Path, tiny: Path) -> None:
    _save(coarse / "Sheet.png", 8)
    _save(coarse / "sheet-2.jpg", 9)
    done = _refine(coarse, tiny)
    assert done.sheet == tiny / "sheet-3.png"
    assert tiny / "Sheet.png" in done.images


def test_sheet_size_is_limited(tiny: Path) -> None:
    folder = tiny.parent / "coarse"
    for number in range(20):
        _save(folder / f"a very long name indeed, which no column is wide enough for, number {number}.png", number, 64)
    with Image.open(_refine(folder, tiny, scale=8).sheet) as sheet:
        assert 1024 < sheet.width < 1400
        assert 1024 < sheet.height < 2300


def test_other_files_and_sub_folders_are_ignored(coarse: Path, tiny: Path) -> None:
    (coarse / "notes.txt").write_text("no image")
    (coarse / ".hidden.png").write_text("no image")
    (coarse / "inside").mkdir()
    assert len(_refine(coarse, tiny).images) == 3


def test_plugin_refiner_gets_the_corruption_and_the_full_size(coarse: Path, tiny: Path) -> None:
    seen = []

    @dpbench.REFINERS.register("spy")
    class Spy(dpbench.Refiner):
        def prepare(self, public, degrade, run) -> None:
            images = public.batch([0]).images.float() / 127.5 - 1
            seen.append((images.shape, degrade(images, run.generator).shape))

        def refine(self, coarse, size, run):
            return coarse.repeat_interleave(size // 4, 2).repeat_interleave(size // 4, 3)

    _refine(coarse, tiny, "spy", scale=8)
    assert seen == [((1, 3, 32, 32), (1, 3, 4, 4))]
    assert (_pixels(tiny / "a.png") == _pixels(coarse / "a.png").repeat(8, 0).repeat(8, 1)).all()


def _empty(coarse: Path) -> None:
    for path in coarse.iterdir():
        path.unlink()


def _truncate(coarse: Path) -> None:
    content = (coarse / "b.bmp").read_bytes()
    (coarse / "b.bmp").write_bytes(content[:-20])


def _gone(coarse: Path) -> None:
    _empty(coarse)
    coarse.rmdir()


BAD_FOLDERS = [
    (_gone, r"cannot read .*coarse \(No such file or directory\); give a folder of images"),
    (_empty, r"coarse has no images \(\.png, .*\); give a folder that has some"),
    (_truncate, r"coarse/b\.bmp cannot be read .*; replace or remove it"),
    (lambda coarse: (coarse / "a.png").write_text("hello"), r"coarse/a\.png is not an image; replace or remove it"),
    (lambda coarse: _save(coarse / "z.png", size=8), r"coarse/z\.png .*it has 8x8 pixels, but a\.png 4x4"),
    (lambda coarse: Image.new("RGB", (4, 6)).save(coarse / "a.png"), r"coarse/a\.png .*4x6 pixels and is not square"),
    (lambda coarse: _save(coarse / "a.jpg"), r"coarse/a\.jpg and .*coarse/a\.png would both become a\.png; rename"),
]

BAD_OPTIONS = [
    ({"scale": 3}, "scale must be a power of two, e.g. 2, 4 or 8, not 3"),
    ({"scale": 1}, "scale must be a power of two"),
    ({"scale": 0}, "scale must be a power of two"),
    ({"scale": -4}, "scale must be a power of two"),
    ({"refiner": "residuel"}, "unknown refiner 'residuel'; did you mean residual"),
    ({"refiner": "residual", "settings": {"stepps": 1}}, "refiner 'residual': unknown setting 'stepps'; did you mean"),
    ({"refiner": "residual", "settings": {"steps": "many"}}, "refiner 'residual': setting steps=many"),
    ({"refiner": "residual", "settings": {"patch": 0}}, r"refiner 'residual': setting patch=0 must lie in \[1, ∞\)"),
    ({"refiner": "regression", "public": "textires"}, "unknown dataset 'textires'; did you mean textures"),
    ({"refiner": "regression", "public": "folder:/nowhere"}, "/nowhere"),
    ({"refiner": "regression", "public": "auto:textures,shapes"}, "no private images choose here .*; give one of them"),
    (
        {"refiner": "regression", "public": "textures", "scale": 512},
        r"public source 'textures' at 2048x2048 pixels: .*choose one from 4",
    ),
    ({"refiner": "pretrained"}, "run `dpbench weights get realesrgan-x4plus`"),
    ({"refiner": "diffusers"}, "or run `hf download CompVis/ldm-super-resolution-4x-openimages`"),
    ({"device": "cuda:99"}, "device 'cuda:99' is not available"),
    ({"precision": "fp8"}, "unknown precision 'fp8'"),
]


@pytest.mark.parametrize(("spoil", "message"), BAD_FOLDERS, ids=[said for _, said in BAD_FOLDERS])
def test_invalid_folder_writes_no_files(coarse: Path, tiny: Path, spoil, message: str) -> None:
    spoil(coarse)
    with pytest.raises(DpbenchError, match=message):
        _refine(coarse, tiny)
    assert not tiny.exists()


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS, ids=lambda value: str(value)[:40])
def test_invalid_option_writes_no_files(coarse: Path, tiny: Path, options, message: str) -> None:
    with pytest.raises(DpbenchError, match=message):
        _refine(coarse, tiny, **options)
    assert not tiny.exists()


def test_output_to_the_input_folder_raises_an_error(coarse: Path) -> None:
    with pytest.raises(DpbenchError, match="is the folder of coarse images; give another one with --out"):
        _refine(coarse, coarse.parent / "elsewhere" / ".." / "coarse")
    assert sorted(path.name for path in coarse.iterdir()) == ["a.png", "b.bmp", "c.d.webp"]


def test_unwritable_output_raises_an_error(coarse: Path, tiny: Path) -> None:
    tiny.write_text("a file", encoding="utf-8")
    with pytest.raises(DpbenchError, match="is not a folder"):
        _refine(coarse, tiny / "below")


def test_full_disk_error_names_the_file_and_leaves_no_partial_file(
    coarse: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Image.Image.save

    def full(image: Image.Image, path: Path, **options: object) -> None:
        if ".tmp-b-" in str(path):
            Path(path).write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(image, path, **options)

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(DpbenchError, match=r"cannot write .*b\.png: No space left on device"):
        _refine(coarse, tiny)
    assert [path.name for path in tiny.iterdir()] == ["a.png"]


def test_a_tilde_is_the_home_folder(coarse: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tiny.parent))
    assert len(_refine(Path("~/coarse"), Path("~/fine")).images) == 3
    assert (tiny.parent / "fine/a.png").is_file()
    with pytest.raises(DpbenchError, match="is the folder of coarse images"):
        _refine(Path("~/coarse"), coarse)


def test_file_names_that_cannot_be_printed_are_refused(coarse: Path, tiny: Path) -> None:
    (coarse / "a.png").rename(coarse / "a\nb.png")
    with pytest.raises(DpbenchError, match=r"the file name 'a\\nb.png' has line breaks"):
        _refine(coarse, tiny)
