"""Which folder stands for which class."""

from __future__ import annotations

import pytest

from dpbench.core.errors import UnknownName
from dpbench.data.external.class_folders import ClassFolders

CLOTHES = ClassFolders(("T-shirt/top", "Ankle boot", "Dress"))


@pytest.mark.parametrize(
    ("folder", "label"),
    [("T-shirt_top", 0), ("t-shirt top", 0), ("ankle_boot", 1), ("Ankle boot", 1), ("DRESS", 2), ("2", 2), ("0001", 1)],
)
def test_a_folder_is_called_as_its_class_is_or_by_its_number(folder: str, label: int) -> None:
    assert folder in CLOTHES
    assert CLOTHES.label(folder) == label


@pytest.mark.parametrize("folder", ["3", "Anklet", "-1", ""])
def test_an_unknown_folder_is_refused(folder: str) -> None:
    assert folder not in CLOTHES
    with pytest.raises(UnknownName, match="unknown class folder"):
        CLOTHES.label(folder)


def test_the_nearest_classes_are_offered() -> None:
    with pytest.raises(UnknownName, match="unknown class folder 'Dres'; did you mean Dress"):
        CLOTHES.label("Dres")


def test_a_number_that_is_a_name_is_no_position() -> None:
    ages = ClassFolders(("1", "10", "2"))
    assert [ages.label(folder) for folder in ("1", "10", "2", "02")] == [0, 1, 2, 2]
    with pytest.raises(UnknownName):
        ages.label("0")


def test_names_that_differ_in_signs_alone_must_be_written_exactly() -> None:
    languages = ClassFolders(("C", "C++", "+", "-"))
    assert [languages.label(folder) for folder in ("C", "C++", "+", "-")] == [0, 1, 2, 3]
    with pytest.raises(UnknownName):
        languages.label("c")
