"""CelebA and its HQ editions, from small files in their layouts."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
from dataset_layouts import FACES, declare, hashed, write_celeba, write_celeba_hq, write_mm_celeba

from dpbench.core.captions import decode_captions, split_captions
from dpbench.core.errors import DataError, UnknownName
from dpbench.data.opening import canonical_name, open_dataset, open_public, overlapping
from dpbench.data.sets.attribute_captions import FEATURES, HAIR, LOOKS, WORN, describe
from dpbench.data.sets.celeba import CelebA
from dpbench.data.sets.celeba_hq import CelebAHQ
from dpbench.data.sets.face_attributes import ATTRIBUTES
from dpbench.data.sets.mm_celeba_hq import MMCelebAHQ
from dpbench.data.splits import falls_into_test

MALE, SMILING = ATTRIBUTES.index("Male"), ATTRIBUTES.index("Smiling")
SPLIT = {"train": ["4", 0, "00003"], "test": [2, "1.jpg"]}


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    declare(CelebA, monkeypatch, 14, 13)
    declare(CelebAHQ, monkeypatch, *hashed([f"{number}.jpg" for number in range(FACES)]))
    declare(MMCelebAHQ, monkeypatch, 3, 2)


def captions(split) -> list[list[str]]:
    return [split_captions(text) for text in decode_captions(split.batch(range(len(split))).captions)]


def test_attributes_are_where_celeba_has_them():
    assert (len(ATTRIBUTES), MALE, ATTRIBUTES[0], ATTRIBUTES[-1]) == (40, 20, "5_o_Clock_Shadow", "Young")


@pytest.mark.parametrize(
    ("argument", "column", "classes"),
    [
        ("", MALE, ("female", "male")),
        ("Smiling", SMILING, ("not smiling", "smiling")),
        ("wearing_hat", ATTRIBUTES.index("Wearing_Hat"), ("not wearing hat", "wearing hat")),
    ],
)
def test_a_label_is_an_attribute_and_splits_are_the_published_ones(argument, column, classes, options):
    _, has = write_celeba(options.root)
    dataset = CelebA(argument, replace(options, resolution=64))
    assert dataset.spec.classes == classes
    for split, first in ((dataset.train(), 0), (dataset.test(), 2)):
        batch = split.batch(range(len(split)))
        assert batch.labels.tolist() == has[first::3, column].astype(int).tolist()
        shades = batch.images[:, 0, 30, 30].tolist()
        assert all(abs(shade - number) < 4 for shade, number in zip(shades, range(first, FACES, 3), strict=True))


def test_names_have_one_form(options):
    assert (
        canonical_name("celeba:male") == canonical_name("celeba:Male") == CelebA("MALE", options).spec.name == "celeba"
    )
    assert canonical_name("celeba:smiling") == CelebA("smiling", options).spec.name == "celeba:Smiling"
    with pytest.raises(UnknownName, match="Smiling"):
        CelebA("Smile", options)


def test_captions_name_the_attributes(options):
    _, has = write_celeba(options.root)
    dataset = CelebA("captions", options)
    assert (dataset.spec.classes, dataset.spec.caption_bytes > 0) == (None, True)
    for record, texts in enumerate(captions(dataset.train())):
        of = {name for name, there in zip(ATTRIBUTES, has[3 * record], strict=True) if there}
        assert texts == describe(of)
        for text in texts:
            assert (" man" in text) == ("Male" in of)
            assert all((words in text) == (name in of) for name, words in (FEATURES | WORN).items() if name != "Bangs")


def test_two_captions_of_a_face():
    of = {"Young", "Smiling", "Wavy_Hair", "Brown_Hair", "Bangs", "Wearing_Lipstick", "Eyeglasses", "Attractive"}
    assert describe(of) == [
        "a smiling young attractive woman with wavy brown hair and bangs, wearing eyeglasses and lipstick",
        "An attractive and young woman smiles. She has wavy brown hair and bangs. She wears eyeglasses and lipstick",
    ]
    assert describe({"Male"}) == ["an old man", "An old man looks into the camera"]
    longest = describe([*HAIR, *FEATURES, *WORN, *LOOKS, "Smiling", "Young"])
    assert len("\n".join(longest)) < 1024


def test_celeba_hq_is_split_by_hash(options):
    _, has = write_celeba_hq(options.root)
    dataset = CelebAHQ("Smiling", replace(options, resolution=16))
    held = [number for number in range(FACES) if falls_into_test(f"{number}.jpg")]
    assert dataset.test().batch(range(len(held))).labels.tolist() == has[held, SMILING].astype(int).tolist()
    assert (dataset.spec.n_train, dataset.spec.n_test) == (FACES - len(held), len(held))


def test_the_declared_split_of_celeba_hq_is_that_of_the_hash(monkeypatch):
    monkeypatch.undo()
    assert hashed([f"{number}.jpg" for number in range(30_000)]) == (CelebAHQ.n_train, CelebAHQ.n_test)


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("image/{}.jpg", "text/celeba-caption"),
        ("images/faces/{}.JPG", "text"),
        ("images/img{:08}.png", "celeba-caption"),
    ],
)
def test_image_and_captions_belong_together_by_number_and_not_by_position(image, text, options):
    write_mm_celeba(options.root, SPLIT, image, text)
    dataset = MMCelebAHQ("", replace(options, resolution=16))
    for split, numbers in ((dataset.train(), (4, 0, 3)), (dataset.test(), (2, 1))):
        shades = split.batch(range(len(split))).images[:, 0, 8, 8].tolist()
        assert all(abs(shade - 4 * number) < 3 for shade, number in zip(shades, numbers, strict=True))
        assert captions(split) == [
            [f"She is face {number} and has bangs.", f"The woman {number} wears lipstick."] for number in numbers
        ]


def test_hidden_files_are_no_images_and_no_number_is_given_twice(options):
    folder = write_mm_celeba(options.root, SPLIT)
    (folder / "image/._0.jpg").write_bytes(b"Mac OS X")
    assert len(MMCelebAHQ("", options).train().batch(range(3)).images) == 3
    (folder / "image/img0000.png").write_bytes((folder / "image/0.jpg").read_bytes())
    with pytest.raises(DataError, match=r"img0000.png has the same number as .*image/0.jpg; remove one"):
        MMCelebAHQ("", options).train()


def test_the_split_may_be_a_list(options):
    folder = write_mm_celeba(options.root, SPLIT)
    (folder / "train_filenames.pickle").unlink()
    (folder / "train_filenames.txt").write_text("3\n4\n0\n", encoding="utf-8")
    assert captions(MMCelebAHQ("", options).train())[0][0] == "She is face 3 and has bangs."


@pytest.mark.parametrize("content", [5, ["a"], [1, 1], {"a": 1}, [pickle.Pickler]])
def test_a_split_of_another_form_is_named(content, options):
    folder = write_mm_celeba(options.root, SPLIT)
    (folder / "train_filenames.pickle").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=r"train_filenames.pickle (is damaged|cannot be read)") as caught:
        _ = MMCelebAHQ("", options).spec
    assert "\n" not in str(caught.value)


def test_missing_captions_are_counted_and_missing_images_named(options):
    folder = write_mm_celeba(options.root, SPLIT)
    (folder / "text/celeba-caption/4.txt").unlink()
    with pytest.warns(UserWarning, match="1 of 3 images of mm-celeba-hq have no caption"):
        assert captions(MMCelebAHQ("", options).train())[0] == []
    (folder / "image/0.jpg").unlink()
    with pytest.raises(DataError, match=r"image/0.jpg is missing: put the folders image and text"):
        MMCelebAHQ("", options).train()


@pytest.mark.parametrize("plugin", [CelebA, CelebAHQ, MMCelebAHQ])
def test_missing_files_say_where_to_put_them(plugin, options):
    with pytest.raises(DataError, match=rf"{options.root}/{plugin.name} is missing: .*{options.root}/{plugin.name}"):
        plugin("", options).train()


@pytest.mark.parametrize(
    ("old", "new"),
    [(" 1", " 2"), ("Male", "Man"), ("000001.jpg", "9.jpg"), (" 1\n", "\n"), ("\n000002.jpg", " 1\n000002.jpg")],
)
def test_a_damaged_table_is_named(old, new, options):
    folder, _ = write_celeba(options.root)
    path = folder / "list_attr_celeba.txt"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(DataError, match=r"list_attr_celeba.txt is damaged \(.*\): put"):
        CelebA("", options).train()


def test_a_damaged_partition_is_named(options):
    folder, _ = write_celeba(options.root)
    (folder / "list_eval_partition.txt").write_text("000001.jpg 0\n000002.jpg 7\n", encoding="utf-8")
    with pytest.raises(
        DataError, match=r"list_eval_partition.txt is damaged \(line 2 must be a file name and 0, 1 or 2\)"
    ):
        _ = CelebA("", options).spec


def test_the_three_sets_share_images(options):
    names = ("celeba", "celeba:Smiling", "celeba:captions", "celeba-hq", "mm-celeba-hq", "holdout:celeba")
    assert all(overlapping(one, other) for one in names for other in names)
    assert not overlapping("celeba", "coco")
    with pytest.raises(DataError, match="overlaps"):
        open_public("celeba", open_dataset("mm-celeba-hq", options).spec, options)


def test_a_failed_download_is_one_line(options, monkeypatch):
    def offline(self):
        raise RuntimeError("no network\nat all")

    monkeypatch.setattr("torchvision.datasets.CelebA.download", offline)
    with pytest.raises(
        DataError, match=r"cannot download celeba \(no network\); try again, or put list_attr"
    ) as caught:
        _ = CelebA("", replace(options, download=True)).spec
    assert "\n" not in str(caught.value)
