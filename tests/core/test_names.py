"""Names that can be printed in one line."""

from __future__ import annotations

import os

import pytest

from dpbench.core.errors import DataError, UnknownName
from dpbench.core.names import check_name
from dpbench.core.specs import DatasetSpec


@pytest.mark.parametrize("name", ["cat", "T-shirt/top", "日本語", "Ménagère no. 5", "👩‍🔬", "x" * 255, ""])
def test_printable_names_pass(name: str) -> None:
    check_name(name, "class")


@pytest.mark.parametrize(
    "name", ["a\nb", "a\tb", "a\x00b", "a\x1b[31mb", "a\u2028b", os.fsdecode(b"a\xffb"), "x" * 256, "é" * 128]
)
def test_other_names_are_refused_in_one_printable_line(name: str) -> None:
    with pytest.raises(DataError, match="the class name ") as caught:
        check_name(name, "class")
    assert str(caught.value).isprintable()


def test_class_names_are_checked_when_a_dataset_is_opened() -> None:
    with pytest.raises(DataError, match=r"the class name 'two\\nlines' has line breaks"):
        DatasetSpec("set", 1, 8, 10, 10, ("one", "two\nlines"), True)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("MNIST", "did you mean mnist?"),
        ("CIFAR10", "did you mean cifar10?"),
        ("cifar-10", "did you mean cifar10?"),
        ("Fashion_MNIST", "did you mean fashion-mnist?"),
        ("Cifar", "did you mean cifar10 or cifar100?"),
        ("zzz", "known: cifar10, cifar100, fashion-mnist, mnist"),
    ],
)
def test_names_are_suggested_whatever_their_case_and_hyphens(name: str, hint: str) -> None:
    error = UnknownName("dataset", name, ["mnist", "fashion-mnist", "cifar10", "cifar100"])
    assert str(error) == f"unknown dataset '{name}'; {hint}"
