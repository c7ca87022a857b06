"""Finds the train and test folders of a dataset by their names, and the folder that contains everything."""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Sequence
from typing import NamedTuple

from dpbench.core.errors import DataError

TRAIN = {"train", "training", "trn", "trainval"}
TEST = {"test", "testing", "tst"}
VALIDATION = {"val", "valid", "validation", "dev", "eval", "evaluation", "holdout", "heldout"}
"""Words for a validation split, which replaces a missing test split."""

WORD = re.compile(r"[A-Z]*[^\W\d_A-Z]+|[A-Z]+")
"""A word in a name: "seg_train" has seg and train, "trainA" has train and A, "val2017" has val."""

ENDING = re.compile(r"(set|data|dataset|split|imgs?|images?|files|folder|dir)$")
"""Possible endings of a word for a split: "trainset" is train."""


class SplitFolders(NamedTuple):
    """The names of the folders that are the splits."""

    train: str
    test: str


def common_folder(entries: Collection[str], classes: Container[str] = ()) -> str:
    """The folder that contains everything, e.g. "archive/images/"; "" if there is no such folder.

    Args:
        entries: relative paths of files and folders; folders end with "/".
        classes: names of folders that are classes, even if there is only one.
    """
    common = ""
    while True:
        inside = {entry.removeprefix(common).partition("/")[:2] for entry in entries if entry != common}
        if len(inside) != 1:
            return common
        [(name, slash)] = inside
        if not slash or name in classes:
            return common
        common += f"{name}/"
        entries = [entry for entry in entries if entry.startswith(common)]


def split_folders(names: Sequence[str], where: object) -> SplitFolders | None:
    """The splits among the folders of a dataset; None if no folder is named like a split.

    Case, numbers and other words do not matter: "Train", "train2017", "seg_train" and "train_images" are train.

    Args:
        names: the folders' names.
        where: the dataset in messages.

    Raises:
        DataError: a split has no partner, or the names are ambiguous: a method could then train on test images.
    """
    train, test, validation = ([name for name in names if has_word(name, split)] for split in (TRAIN, TEST, VALIDATION))
    held_out = test or validation
    if len(train) == len(held_out) == 1 and train != held_out:
        return SplitFolders(train[0], held_out[0])
    named = sorted({*train, *test, *validation}) or _similar(names)
    if not named:
        return None
    problem = "looks like a split without a partner" if len(named) == 1 else "look like splits, but not clearly"
    raise DataError(
        f"{', '.join(named[:4])} in {where} {problem}; call the splits train/ and test/, and rename folders that are "
        "classes"
    )


def has_word(name: str, split: Collection[str]) -> bool:
    """Whether a folder's name has one of the words for a split."""
    return any(word in split or ENDING.sub("", word) in split for word in _words(name))


def _similar(names: Iterable[str]) -> list[str]:
    """Names like "trained" and "tests", if there are some for both splits."""
    starts = ("train", ("test", "valid", "eval"))
    like = [[name for name in names if any(word.startswith(start) for word in _words(name))] for start in starts]
    return [name for names in like for name in names] if all(like) else []


def _words(name: str) -> list[str]:
    """The words in a name, and all of them joined: "HoldOut" is hold, out and holdout."""
    words = [word.casefold() for word in WORD.findall(name)]
    return [*words, "".join(words)]
