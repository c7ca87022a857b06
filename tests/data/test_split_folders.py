"""The names of splits, and the folder that everything is in."""

from __future__ import annotations

import pytest

from dpbench.core.errors import DataError
from dpbench.data.split_folders import common_folder, split_folders


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("training", "testing"),
        ("Train", "Test"),
        ("TRAIN", "VAL"),
        ("train", "valid"),
        ("train2017", "val2017"),
        ("seg_train", "seg_test"),
        ("train_images", "test_images"),
        ("imagesTr-train", "imagesTs-test"),
        ("trainset", "testset"),
        ("TrainData", "HoldOut"),
        ("trn", "dev"),
        ("training", "evaluation"),
        ("train_val", "test"),
    ],
)
def test_usual_names_are_known(train: str, test: str) -> None:
    assert split_folders(sorted([train, test]), "here") == (train, test)


def test_a_test_split_is_preferred_to_a_validation_split() -> None:
    assert split_folders(["Test", "Train", "valid"], "here") == ("Train", "Test")


@pytest.mark.parametrize("names", [["bird", "cat"], ["trainers", "boots"], ["contest", "strain"], ["testis"], []])
def test_classes_are_no_splits(names: list[str]) -> None:
    assert split_folders(names, "here") is None


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["train", "unseen"], "train in here looks like a split without a partner; call the splits train/ and test/"),
        (["images", "Validation"], "Validation in here looks like a split without a partner"),
        (["test", "train", "train2014"], "test, train, train2014 in here look like splits, but not clearly"),
        (["testA", "testB", "trainA", "trainB"], "testA, testB, trainA, trainB in here look like splits"),
        (["tests", "trained"], "trained, tests in here look like splits, but not clearly"),
        (["dev", "train", "val"], "dev, train, val in here look like splits"),
    ],
)
def test_names_that_look_like_splits_are_never_classes(names: list[str], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        split_folders(names, "here")


@pytest.mark.parametrize(
    ("entries", "common"),
    [
        (["a.png", "b.png"], ""),
        (["a.png"], ""),
        (["cats/a.png", "dogs/b.png"], ""),
        (["z/archive/cats/a.png", "z/archive/dogs/b.png"], "z/archive/"),
        (["z/a.png", "z/b.png"], "z/"),
        (["z/cats/a.png", "b.png"], ""),
        (["z/", "z/cats/", "z/cats/a.png", "z/dogs/"], "z/"),
        ([], ""),
    ],
)
def test_folder_around_everything(entries: list[str], common: str) -> None:
    assert common_folder(entries) == common


def test_a_class_is_not_a_folder_around_everything() -> None:
    assert common_folder(["z/cats/a.png", "z/cats/b.png"], {"cats"}) == "z/"
