"""COCO captions, from small files in the layout of both editions."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace

import pytest
from dataset_layouts import COCO_CAPTIONS, write_coco
from PIL import Image

from dpbench.core.captions import decode_captions, split_captions
from dpbench.core.data import DataOptions
from dpbench.core.errors import DataError, DpbenchError, PrivacyError, UnknownName
from dpbench.core.seal import Seal
from dpbench.data.opening import canonical_name, open_dataset, open_public
from dpbench.data.sets import coco
from dpbench.data.sets.coco import COCO


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for year in ("2014", "2017"):
        monkeypatch.setitem(coco.COUNTS, year, (3, 2))


def captions(split) -> list[list[str]]:
    return [split_captions(text) for text in decode_captions(split.batch(range(len(split))).captions)]


@pytest.mark.parametrize("year", ["2014", "2017"])
def test_both_editions_are_joined_by_image_number(year, options):
    write_coco(options.root, year)
    dataset = COCO(year, replace(options, resolution=16))
    train, test = dataset.train(), dataset.test()
    assert captions(train) == [
        ["A dog runs.", "a brown dog"],
        ["un chien très brun", "犬"],
        [f"caption {i}" for i in range(7)],
    ]
    assert captions(test) == [["a cat"], ["a grey cat"]]
    shades = train.batch([0, 1, 2]).images[:, 0, 8, 8].tolist()
    assert all(abs(shade - number) < 3 for shade, number in zip(shades, COCO_CAPTIONS["train"], strict=True))
    assert train.batch([2]).captions.shape == (1, dataset.spec.caption_bytes)
    assert (dataset.spec.classes, dataset.spec.shape) == (None, (3, 16, 16))


def test_the_first_edition_is_the_default_and_has_one_name(options):
    assert COCO("", options).spec.name == COCO("2017", options).spec.name == canonical_name("coco:2017") == "coco"
    assert COCO("2014", options).spec.name == canonical_name("coco:2014") == "coco:2014"
    with pytest.raises(UnknownName, match="2015"):
        COCO("2015", options)


def test_editions_are_never_public_and_sensitive(options):
    write_coco(options.root)
    sensitive = COCO("", options)
    with pytest.raises(DataError, match="overlaps"):
        open_public("coco:2014", sensitive.spec, options)
    with Seal(sensitive).closed(), pytest.raises(PrivacyError):
        COCO("2014", options).train()


def test_images_without_captions_are_kept_and_counted(options):
    write_coco(options.root, captions=COCO_CAPTIONS | {"train": {1: [], 2: ["", " "], 3: ["a bus"]}})
    with pytest.warns(UserWarning, match="2 of 3 images of coco have no caption"):
        train = COCO("", options).train()
    assert captions(train) == [[], [], ["a bus"]]


def test_long_captions_are_left_out_whole_and_counted(options):
    write_coco(
        options.root, captions=COCO_CAPTIONS | {"train": {1: ["a" * 300, "b" * 300, "c"], 2: ["é" * 10_000], 3: ["d"]}}
    )
    with pytest.warns(UserWarning, match="captions of 2 of 3 images of coco have more than 512 bytes"):
        train = COCO("", options).train()
    assert captions(train) == [["a" * 300, "c"], ["é" * 256], ["d"]]


def test_an_extract_has_the_counts_of_its_files(options, monkeypatch):
    monkeypatch.setitem(coco.COUNTS, "2017", (100, 2))
    assert COCO("", options).spec.n_train == 100
    write_coco(options.root)
    with pytest.warns(UserWarning, match="coco has 3 train images, not the published 100"):
        assert COCO("", options).spec.n_train == 3


def test_missing_files_are_named(options):
    where = rf"unpack train2017.zip, val2017.zip and annotations_trainval2017.zip .*{options.root}/coco"
    with pytest.raises(DataError, match=f"coco is missing: {where}"):
        COCO("", options).train()
    folder = write_coco(options.root)
    (folder / "train2017" / "000000000025.jpg").unlink()
    with pytest.raises(DataError, match=f"train2017/000000000025.jpg is missing: {where}"):
        COCO("", options).train()
    (folder / "train2017" / "000000000009.jpg").unlink()
    with pytest.raises(DataError, match=r"train2017/000000000009.jpg and 1 others of 3 are missing"):
        COCO("", options).train()
    (folder / "annotations" / "captions_val2017.json").unlink()
    with pytest.raises(DataError, match=f"captions_val2017.json is missing: {where}"):
        _ = COCO("", options).spec


@pytest.mark.parametrize(
    "content",
    [
        "{", "[]", '{"images": []}', '{"images": [{"id": 1}], "annotations": []}',
        '{"images": [{"id": 1, "file_name": "../a.jpg"}], "annotations": []}',
        '{"images": [{"id": 1, "file_name": 5}], "annotations": []}',
        '{"images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "a.jpg"}], "annotations": []}',
        '{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 1, "caption": null}]}',
    ],
)  # fmt: skip
def test_a_caption_file_of_another_form_is_named(content, options):
    path = write_coco(options.root) / "annotations" / "captions_train2017.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DpbenchError, match=r"captions_train2017\.json") as caught:
        _ = COCO("", options).spec
    assert "\n" not in str(caught.value)


def test_grey_and_cmyk_images_are_read_in_colour_and_damaged_ones_named(options):
    folder = write_coco(options.root) / "train2017"
    Image.new("L", (60, 48), 77).save(folder / "000000000009.jpg")
    Image.new("CMYK", (60, 48), (0, 0, 0, 0)).save(folder / "000000000025.jpg")
    (folder / "000000000030.jpg").write_bytes((folder / "000000000030.jpg").read_bytes()[:200])
    train = COCO("", options).train()
    assert train.batch([0, 1]).images[:, :, 5, 5].tolist() == [[77, 77, 77], [255, 255, 255]]
    with pytest.raises(DataError, match=r"train2017/000000000030.jpg"):
        train.batch([2])


def test_captions_may_have_any_characters(options):
    folder = write_coco(options.root)
    path = folder / "annotations" / "captions_val2017.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["annotations"] = [
        {"image_id": 139, "caption": "half \ud83d\r\n\x00 a smile"},
        {"image_id": 285, "caption": "قطة"},
    ]
    path.write_text(json.dumps(content), encoding="utf-8")
    assert captions(COCO("", options).test()) == [["half ? a smile"], ["قطة"]]


@pytest.mark.slow
def test_real_photographs(real_options, monkeypatch, tmp_path):
    options = DataOptions(real_options.root, 64, cache=tmp_path)
    if not (options.root / "coco" / "annotations").is_dir():
        pytest.skip("there are no photographs of COCO")
    monkeypatch.setitem(coco.COUNTS, "2017", (118_287, 5_000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may be an extract
        dataset = open_dataset("coco", options)
        for split in (dataset.train(), dataset.test()):
            batch = split.batch(range(64))
            assert 60 < batch.images.float().mean() < 160
            assert all(split_captions(text) for text in decode_captions(batch.captions))
