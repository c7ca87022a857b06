"""Omniglot, from drawings in its real format and both layouts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from dataset_files import CHARACTERS, draw_characters

from dpbench.core.errors import DataError
from dpbench.data.sets.omniglot import Omniglot


@pytest.mark.parametrize("place", ["", "omniglot-py/images_background"])
def test_both_layouts_are_the_same_dataset(place, options):
    draw_characters(options.root / "omniglot" / place)
    dataset = Omniglot("", options)
    spec, train, test = dataset.spec, dataset.train(), dataset.test()
    assert spec.classes == tuple(CHARACTERS)
    assert (spec.shape, spec.public_benchmark) == ((1, 32, 32), True)
    assert (len(train), len(test)) == (spec.n_train, spec.n_test)
    assert spec.n_train + spec.n_test == 60
    assert 1 <= spec.n_test <= 15
    assert train.fingerprint != test.fingerprint
    assert sorted(
        train.batch(range(spec.n_train)).labels.tolist() + test.batch(range(spec.n_test)).labels.tolist()
    ) == [label for label in range(3) for _ in range(20)]


def test_drawings_are_white_on_black_and_smoothly_resized(options):
    draw_characters(options.root / "omniglot")
    images = Omniglot("", options).train().batch([3, 1]).images
    assert (images.dtype, tuple(images.shape)) == (torch.uint8, (2, 1, 32, 32))
    assert images[:, :, 0, 0].eq(0).all()
    assert images.amax((1, 2, 3)).eq(255).all()
    assert ((images > 0) & (images < 255)).any()
    assert Omniglot("", replace(options, resolution=105)).train().batch([0]).images.unique().tolist() == [0, 255]


def test_missing_drawings_say_where_to_put_them(options):
    with pytest.raises(DataError, match=rf"omniglot is missing: .*{options.root}/omniglot/<alphabet>.*--download"):
        _ = Omniglot("", options).spec
    (options.root / "omniglot" / "Greek").mkdir(parents=True)
    with pytest.raises(DataError, match=r"omniglot has no drawings: put"):
        _ = Omniglot("", options).spec


def test_a_damaged_drawing_is_named(options):
    draw_characters(options.root / "omniglot")
    damaged = options.root / "omniglot" / CHARACTERS[0] / "0001_01.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    train = Omniglot("", options).train()
    with pytest.raises(DataError, match=f"{damaged} cannot be read"):
        train.batch(range(len(train)))


def test_a_failed_download_is_one_line(options, monkeypatch):
    def offline(self):
        raise OSError("no network")

    monkeypatch.setattr("torchvision.datasets.Omniglot.download", offline)
    with pytest.raises(
        DataError, match=r"cannot download omniglot \(no network\); try again, or put its drawings into"
    ):
        _ = Omniglot("", replace(options, download=True)).spec


def test_something_else_that_arrives_is_removed(options, monkeypatch):
    def portal(url, path, *args, **kwargs):
        Path(path).write_text("<html>please log in</html>", encoding="utf-8")

    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", portal)
    monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", lambda url, **_: url)
    with pytest.raises(
        DataError, match=r"\(what arrived as images_background.zip was not the published file"
    ) as caught:
        _ = Omniglot("", replace(options, download=True)).spec
    assert "\n" not in str(caught.value)
    assert not list(options.root.rglob("*.zip"))


def test_drawings_that_are_there_are_not_downloaded(options, monkeypatch):
    draw_characters(options.root / "omniglot" / "omniglot-py" / "images_background")
    monkeypatch.setattr("torchvision.datasets.Omniglot.download", None)
    assert Omniglot("", replace(options, download=True)).spec.n_classes == 3


@pytest.mark.slow
def test_real_omniglot(real_options):
    dataset = Omniglot("", real_options)
    train, test = dataset.train(), dataset.test()
    assert len(train) + len(test) == 4840
    assert dataset.spec.n_classes == 242
    images = train.batch(range(0, len(train), 10)).images
    assert 10 < images.float().mean() < 40
