"""EuroSAT, Camelyon17, ImageNet and Places365, from small files in their layouts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dataset_files import paint
from dataset_layouts import (
    PLACES,
    SYNSETS,
    declare,
    hashed,
    write_camelyon,
    write_eurosat,
    write_imagenet,
    write_places,
)

from dpbench.core.errors import DataError
from dpbench.data.opening import overlapping
from dpbench.data.sets.camelyon17 import Camelyon17
from dpbench.data.sets.eurosat import EuroSAT
from dpbench.data.sets.imagenet import ImageNet
from dpbench.data.sets.places365 import Places365


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [f"{name}/{name}_{number}.jpg" for name in EuroSAT.classes for number in range(1, 5)]
    declare(EuroSAT, monkeypatch, *hashed(paths))
    declare(Camelyon17, monkeypatch, 9, 4)
    declare(ImageNet, monkeypatch, 12, 6)
    declare(Places365, monkeypatch, 9, 3)


def shades_and_labels(split) -> list[tuple[int, int]]:
    batch = split.batch(range(len(split)))
    return list(zip(batch.images[:, 0, 4, 4].tolist(), batch.labels.tolist(), strict=True))


def are_near(found: list[int], wanted: list[int]) -> bool:
    """Whether colours are the same but for JPEG."""
    return len(found) == len(wanted) and all(abs(a - b) < 4 for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("plugin", [EuroSAT, Camelyon17, ImageNet, Places365])
def test_missing_files_say_where_to_put_them(plugin, options):
    with pytest.raises(DataError, match=rf"{options.root}/{plugin.name}.* is missing: .*{options.root}/{plugin.name}"):
        plugin("", options).train()


@pytest.mark.parametrize("place", ["2750", "EuroSAT_RGB"])
def test_eurosat_is_split_by_hash_of_class_and_file(place, options):
    paths = write_eurosat(options.root, place)
    (options.root / "eurosat" / place / "River" / ".DS_Store").write_bytes(b"litter")
    dataset = EuroSAT("", replace(options, resolution=8))
    found = shades_and_labels(dataset.train()) + shades_and_labels(dataset.test())
    assert sorted(label for _, label in found) == [label for label in range(10) for _ in range(4)]
    assert all(abs(shade // 4 - label) <= 1 for shade, label in found)
    assert (dataset.spec.n_train, dataset.spec.n_test) == hashed(paths)


def test_the_declared_split_of_eurosat_is_that_of_the_hash(monkeypatch):
    monkeypatch.undo()
    counts = (3000, 3000, 3000, 2500, 2500, 2000, 2500, 3000, 2500, 3000)
    paths = [
        f"{name}/{name}_{number}.jpg"
        for name, count in zip(EuroSAT.classes, counts, strict=True)
        for number in range(1, count + 1)
    ]
    assert hashed(paths) == (EuroSAT.n_train, EuroSAT.n_test)


def test_the_multispectral_edition_of_eurosat_is_refused(options):
    write_eurosat(options.root, end=".tif")
    with pytest.raises(DataError, match="multispectral edition, with 13 bands: unpack EuroSAT"):
        EuroSAT("", options).train()


def test_a_class_of_eurosat_that_is_missing_is_named(options):
    write_eurosat(options.root)
    for file in (folder := options.root / "eurosat" / "2750" / "SeaLake").iterdir():
        file.unlink()
    folder.rmdir()
    with pytest.raises(DataError, match="2750/SeaLake is missing"):
        EuroSAT("", options).train()


def test_hospitals_of_camelyon17_are_the_splits(options):
    write_camelyon(options.root)
    dataset = Camelyon17("", options)
    train = [number for number in range(15) if number % 5 not in (1, 2)]
    test = [number for number in range(20) if number % 5 == 2]
    for split, numbers in ((dataset.train(), train), (dataset.test(), test)):
        assert shades_and_labels(split) == [(10 * number, number % 2) for number in numbers]
    assert dataset.spec.classes == ("normal", "tumor")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tumor", "cancer", "it has no column tumor"),
        (",patient", ",who", "it has no column patient"),
        ("2,002,2,64,7,0,0,2,0", "2,002,2,64,7,yes,0,2,0", "line 4 is"),
        ("2,002,2,64,7,0,0,2,0", "2,002", "line 4 is"),
    ],
)
def test_damaged_metadata_of_camelyon17_is_named(old, new, message, options):
    path = write_camelyon(options.root) / "metadata.csv"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(DataError, match=rf"metadata.csv is damaged \({message}"):
        _ = Camelyon17("", options).spec


@pytest.mark.parametrize("around", ["", "ILSVRC/Data/CLS-LOC"])
def test_imagenet_has_its_synsets_as_classes(around, options):
    folder = write_imagenet(options.root)
    if around:
        (folder / around).mkdir(parents=True)
        for split in ("train", "val"):
            (folder / split).rename(folder / around / split)
    dataset = ImageNet("", replace(options, resolution=16))
    assert dataset.spec.classes == SYNSETS
    found = shades_and_labels(dataset.train())
    assert [label for _, label in found] == [label for label in range(3) for _ in range(4)]
    assert are_near([shade for shade, _ in found], [60 * label + n for label in range(3) for n in range(4)])
    assert [label for _, label in shades_and_labels(dataset.test())] == [0, 0, 1, 1, 2, 2]


def test_validation_images_without_class_folders_are_refused(options):
    folder = write_imagenet(options.root)
    for path in list((folder / "val").rglob("*.JPEG")):
        path.rename(folder / "val" / path.name)
    for path in (folder / "val").iterdir():
        if path.is_dir():
            path.rmdir()
    with pytest.raises(DataError, match=r"imagenet/val has no class folders: put the images into .*<synset>"):
        ImageNet("", options).test()


def test_a_class_with_test_images_only_is_named(options):
    paint(write_imagenet(options.root) / "val" / "n09999999" / "0.JPEG", 1)
    with pytest.raises(DataError, match="n09999999 has test images, but there are no train images"):
        ImageNet("", options).test()


def test_places365_is_read_from_its_lists(options):
    write_places(options.root)
    dataset = Places365("", replace(options, resolution=16))
    assert dataset.spec.classes == ("airfield", "apartment_building/outdoor", "building_facade")
    train, test = (shades_and_labels(split) for split in (dataset.train(), dataset.test()))
    assert [label for _, label in train] == [label for label in range(3) for _ in range(3)]
    assert [label for _, label in test] == [2, 0, 1]
    assert are_near([shade for shade, _ in train + test], [60 * label for _, label in train + test])


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("categories_places365.txt", "/a/airfield 1\n", "must be numbered 0, 1, 2"),
        ("categories_places365.txt", "airfield\n", "a line must have a name and a number"),
        ("places365_val.txt", "Places365_val_00000000.jpg 7\n", "labels must be 0 to 2"),
        ("places365_val.txt", "Places365_val_00000000.jpg x\n", "a line must have a name and a number"),
    ],
)
def test_damaged_lists_of_places365_are_named(file, content, message, options):
    (write_places(options.root) / file).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=rf"{file} is damaged \(.*{message}"):
        _ = Places365("", options).spec


def test_a_damaged_photograph_is_named(options):
    path = write_places(options.root) / "data_256_standard" / PLACES[0].lstrip("/") / "00000002.jpg"
    path.write_bytes(path.read_bytes()[:100])
    train = Places365("", options).train()
    assert len(train.batch([0, 2]).images) == 2
    with pytest.raises(DataError, match=str(path)):
        train.batch([1])


@pytest.mark.parametrize(
    ("plugin", "reader"),
    [(EuroSAT, "EuroSAT"), (Places365, "Places365")],
)
def test_a_failed_download_is_one_line(plugin, reader, options, monkeypatch):
    def offline(*args, **kwargs):
        raise RuntimeError("no network\nat all")

    monkeypatch.setattr(f"torchvision.datasets.{reader}.__init__", offline)
    with pytest.raises(
        DataError, match=rf"cannot download {plugin.name} \(no network\); try again, or unpack"
    ) as caught:
        _ = plugin("", replace(options, download=True)).spec
    assert "\n" not in str(caught.value)


def test_the_forms_of_imagenet_share_images():
    names = ("imagenet", "imagenet32", "imagenet64")
    assert all(overlapping(one, other) for one in names for other in names)
    assert not overlapping("imagenet", "places365")


def test_a_download_puts_the_files_in_place(options, monkeypatch):
    def fetch(self, root, download):
        assert download
        write_eurosat(root)

    monkeypatch.setattr("torchvision.datasets.EuroSAT.__init__", fetch)
    dataset = EuroSAT("", replace(options, download=True))
    assert len(dataset.train()) == dataset.spec.n_train == EuroSAT.n_train
