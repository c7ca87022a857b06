"""Opening datasets by name, and public sources in the shape of the sensitive images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from dpbench.core.errors import DataError, PrivacyError, UnknownName
from dpbench.core.registries import DATASETS
from dpbench.core.seal import Seal
from dpbench.core.specs import DatasetSpec
from dpbench.data.opening import default_root, open_dataset, open_public
from dpbench.data.synthetic.shapes import Shapes
from dpbench.data.synthetic.textures import Textures

GREY = DatasetSpec("mnist", 1, 28, 60_000, 10_000, tuple("0123456789"), public_benchmark=True)
COLOUR = DatasetSpec("cifar10", 3, 16, 50_000, 10_000, None, public_benchmark=True)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    for plugin in (Shapes, Textures):
        monkeypatch.setattr(plugin, "n_train", 20)
        monkeypatch.setattr(plugin, "n_test", 5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for shade in range(30):
        (tmp_path / "images" / "some").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (shade, 100, 200)).save(tmp_path / "images" / "some" / f"{shade}.png")
    return tmp_path / "images"


def test_names_lead_to_plugins(options, folder):
    assert isinstance(open_dataset("shapes", options), Shapes)
    assert open_dataset(f"folder:{folder}", options).spec.name == f"folder:{folder}"
    assert open_dataset("folder:C:/images", options).argument == str(Path("C:/images").resolve())


def test_every_registered_plugin_can_be_made(options, folder):
    for name in DATASETS.names():
        argument = {"folder": f":{folder}", "holdout": ":shapes"}.get(name, "")
        assert DATASETS.get(name).__doc__
        assert open_dataset(name + argument, options).options is options


def test_an_unknown_name_offers_the_nearest(options):
    with pytest.raises(UnknownName, match="did you mean mnist"):
        open_dataset("mnits", options)


def test_public_images_take_the_sensitive_images_form(options):
    grey, colour = open_public("textures", GREY, options), open_public("textures", COLOUR, options)
    assert grey.spec.shape == grey.batch([0, 1]).images.shape[1:] == (1, 28, 28)
    assert colour.spec.shape == colour.batch([0]).images.shape[1:] == (3, 16, 16)
    assert grey.batch([0]).images.dtype == torch.uint8
    assert len(grey) == grey.spec.n_train == 20
    assert grey.fingerprint != open_public("textures", replace(GREY, channels=3), options).fingerprint


def test_grey_sources_become_colour_by_repeating(options, folder):
    public = open_public(f"folder:{folder}?gray", COLOUR, options)
    images = public.batch([0, 1]).images
    assert images.shape == (2, 3, 16, 16)
    assert torch.equal(images[:, 0], images[:, 2])


def test_a_labelled_dataset_may_be_public_too(options):
    public = open_public("shapes", COLOUR, options)
    assert public.batch([0]).labels is not None
    assert public.spec.name == "shapes"


def test_one_dataset_is_never_public_and_sensitive(options, folder):
    part = folder / "some"
    for name, like in [
        ("mnist", "mnist"),
        (f"folder:{folder}", f"folder:{folder}"),
        (f"folder:{folder}/", f"folder:{folder}?gray"),
        (f"folder:{part}/../", f"folder:{folder}"),
        (f"folder:{part}", f"folder:{folder}"),
        (f"folder:{folder}", f"folder:{part}"),
        ("grained:0.50", "grained:0.5"),
        ("grained:coarse", "grained"),
        ("grained", "grained:1"),  # the same scenes
    ]:
        with pytest.raises(DataError, match="the same dataset is never both public and sensitive"):
            open_public(name, replace(COLOUR, name=like), options)
    assert open_public(f"folder:{folder}", replace(COLOUR, name=f"folder:{folder}-of-others"), options)
    assert open_public("textures:grain", replace(COLOUR, name="grained:1"), options)


def test_the_data_folder_comes_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("DPBENCH_DATA", str(tmp_path))
    assert default_root() == tmp_path
    monkeypatch.delenv("DPBENCH_DATA")
    monkeypatch.setenv("DPBENCH_CACHE", str(tmp_path / "cache"))
    assert default_root() == tmp_path / "cache/data"
    monkeypatch.delenv("DPBENCH_CACHE")
    assert default_root().parts[-2:] == ("dpbench", "data")


@pytest.mark.parametrize("place", ["shapes", "shapes/inside", "."])
def test_a_folder_of_the_sensitive_datasets_own_files_is_not_public(place, options):
    sensitive = open_dataset("shapes", options)
    images = options.root / place / "some"
    images.mkdir(parents=True)
    for shade in range(3):
        Image.new("RGB", (8, 8), (shade, 0, 0)).save(images / f"{shade}.png")
    link = options.root.parent / "link"
    link.symlink_to(images.parent)
    for path in (images.parent, link):
        with pytest.raises(DataError, match="read the same folder"):
            open_public(f"folder:{path}", sensitive.spec, options)
    with Seal(sensitive).closed(), pytest.raises(PrivacyError, match="does not open"):
        open_dataset(f"folder:{link}", options).train()


def test_a_folder_beside_the_sensitive_datasets_is_public(options):
    images = options.root / "shapes-drawn" / "some"
    images.mkdir(parents=True)
    for shade in range(3):
        Image.new("RGB", (8, 8), (shade, 0, 0)).save(images / f"{shade}.png")
    assert len(open_public(f"folder:{images.parent}", open_dataset("shapes", options).spec, options)) > 0
