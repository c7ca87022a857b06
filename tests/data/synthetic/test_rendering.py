"""Generated datasets: the same everywhere, made once, made again when damaged."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from dpbench.core import locks
from dpbench.core.errors import DataError, DpbenchError
from dpbench.data.synthetic import rendering
from dpbench.data.synthetic.figures import Figures
from dpbench.data.synthetic.outlines import SHAPES
from dpbench.data.synthetic.shapes import Shapes
from dpbench.data.synthetic.textures import Textures


class FewShapes(Shapes):
    n_train = 300
    n_test = 40


class FewTextures(Textures):
    n_train = 64
    n_test = 20


class FewFigures(Figures):
    n_train = 64
    n_test = 20


FEW = pytest.mark.parametrize("few", [FewShapes, FewFigures, FewTextures])


def hashed(split, n: int) -> str:
    return hashlib.sha256(split.batch(range(n)).images.numpy().tobytes()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("few", "expected"),
    [(FewShapes, "7bbd4d9bfed17e95"), (FewFigures, "3763fff38af5a2b5"), (FewTextures, "dc9b2cd80c37e57d")],
)
def test_every_machine_paints_the_same_bytes(few, expected, options):
    assert hashed(few("", options).train(), 64) == expected


@FEW
def test_images_have_the_declared_form(few, options):
    dataset = few("", options)
    for split, n in ((dataset.train(), dataset.spec.n_train), (dataset.test(), dataset.spec.n_test)):
        batch = split.batch(range(n))
        assert len(split) == n
        assert batch.images.shape == (n, 3, 32, 32)
        assert batch.images.dtype == torch.uint8
        assert batch.images.float().std((1, 2, 3)).min() > 1
    assert dataset.spec.public_benchmark


def test_public_sources_share_no_class_with_shapes(options):
    shapes, figures, textures = FewShapes("", options), FewFigures("", options), FewTextures("", options)
    assert (shapes.public_only, figures.public_only, textures.public_only) == (False, True, True)
    assert not {*figures.spec.classes} & {*shapes.spec.classes}
    assert len(set(figures.train().batch(range(64)).labels.tolist())) > 50
    assert textures.spec.classes is None
    assert textures.train().batch([0]).labels is None
    assert shapes.spec.classes == tuple(SHAPES)
    assert set(shapes.train().batch(range(300)).labels.tolist()) == set(range(10))


@FEW
def test_no_two_images_are_alike(few, options):
    dataset = few("", options)
    both = [split.batch(range(len(split))).images for split in (dataset.train(), dataset.test())]
    images = torch.cat(both).flatten(1).numpy()
    assert len(np.unique(images, axis=0)) == len(images)


def test_classes_look_different(options):
    batch = FewShapes("", options).train().batch(range(300))
    light = (batch.images.float() * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1)
    contrast = (light - light[:, :1, :1]).abs()
    means = torch.stack([contrast[batch.labels == label].mean(0) for label in range(10)]).flatten(1)
    assert torch.pdist(means / means.norm(dim=1, keepdim=True)).min() > 0.1


def test_a_record_does_not_depend_on_how_many_there_are(options):
    class FewerShapes(Shapes):
        n_train = 10

    fewer, few = FewerShapes("", options).train().batch(range(10)), FewShapes("", options).train().batch(range(10))
    assert torch.equal(fewer.images, few.images)
    assert torch.equal(fewer.labels, few.labels)


@FEW
def test_a_scene_is_the_same_at_every_resolution(few, options):
    small = few("", replace(options, resolution=16)).train().batch(range(20)).images.float()
    large = few("", replace(options, resolution=64)).train().batch(range(20)).images.float()
    assert large.shape == (20, 3, 64, 64)
    assert (torch.nn.functional.avg_pool2d(large, 4) - small).abs().mean() < 12


def test_pieces_and_threads_do_not_change_the_images(options, tmp_path, monkeypatch):
    whole = hashed(FewShapes("", options).train(), 300)
    monkeypatch.setattr(rendering, "PIECE", 7 * 32 * 32)
    monkeypatch.setattr(rendering, "THREADS", 3)
    assert hashed(FewShapes("", replace(options, root=tmp_path / "elsewhere")).train(), 300) == whole


def test_the_cache_is_used_again(options, monkeypatch):
    first = FewShapes("", options).train()
    monkeypatch.setattr(FewShapes, "paint", None)
    again = FewShapes("", options).train()
    assert again.fingerprint == first.fingerprint
    assert torch.equal(again.batch(range(300)).images, first.batch(range(300)).images)


def _truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def _flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


def _write_nonsense(path):
    path.write_bytes(b"nonsense")


def _lose_the_checksum(path):
    path.with_suffix(".json").unlink()


def _spoil_the_checksum(path):
    path.with_suffix(".json").write_text("[")


@pytest.mark.parametrize(
    "damage", [_truncate, _flip_a_bit, _write_nonsense, _lose_the_checksum, _spoil_the_checksum, os.unlink]
)
def test_a_damaged_cache_is_made_again(options, damage):
    whole = hashed(FewShapes("", options).test(), 40)
    [path] = (options.root / "shapes").glob("test-*.npy")
    damage(path)
    assert hashed(FewShapes("", options).test(), 40) == whole
    assert sorted(file.suffix for file in path.parent.iterdir()) == [".json", ".lock", ".npy"]


def test_two_processes_may_ask_at_once(options):
    code = (
        "import sys; from pathlib import Path; from dpbench.core.data import DataOptions\n"
        "from dpbench.data.synthetic.shapes import Shapes\n"
        "class Few(Shapes): n_train = 300\n"
        "print(Few('', DataOptions(Path(sys.argv[1]))).train().fingerprint)"
    )
    command = [sys.executable, "-c", code, str(options.root)]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [run.communicate(timeout=60)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert answers[0] == answers[1] != ""


def test_finished_files_need_no_lock(options, monkeypatch):
    """In a folder of another user, no lock file can be written."""
    FewShapes("", options).test()
    monkeypatch.setattr(locks, "FileLock", lambda path: pytest.fail(f"locks {path}"))
    assert len(FewShapes("", options).test()) == 40


def test_high_resolution_textures_are_fewer(options):
    counts = {size: Textures("", replace(options, resolution=size)).spec.n_train for size in (32, 128, 256)}
    assert counts == {32: 20_000, 128: 20_000, 256: 5_000}


def test_a_data_folder_that_cannot_be_written_is_named(options):
    options.root.write_text("in the way")
    with pytest.raises(DpbenchError, match=f"cannot write to {options.root}.*choose another folder"):
        FewShapes("", options).train()


@pytest.mark.parametrize("resolution", [2, 256])
def test_a_resolution_out_of_range_is_refused(options, resolution):
    with pytest.raises(DataError, match=f"resolution {resolution} is not supported here; choose one from 8 to 128"):
        Shapes("", replace(options, resolution=resolution))
