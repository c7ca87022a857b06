"""The forty binary attributes of CelebA and CelebA-HQ, as labels or as captions."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpbench.core.data import DataOptions
from dpbench.data.caption_texts import caption_texts
from dpbench.data.declared import DeclaredDataset
from dpbench.data.published_files import PublishedDataset
from dpbench.data.sets.attribute_captions import describe

_NAMES = """
5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair Blurry
Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male
Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks
Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace
Wearing_Necktie Young
"""
ATTRIBUTES = tuple(_NAMES.split())
CAPTIONS = "captions"
DEFAULT = "Male"
OPPOSITES = {"Male": "female", "Young": "old"}
"""Attribute -> the name of the class without it, if there is one."""


class AttributeTable(NamedTuple):
    """The attributes of some images.

    Attributes:
        files: names of the images' files.
        has: bool [n, 40], in the order of `ATTRIBUTES`.
    """

    files: list[str]
    has: NDArray[np.bool_]


def read_table(lines: list[str]) -> AttributeTable:
    """Reads a table: a line with the count, one with the names, and one per image with its file and 40 values 1 or -1.

    Args:
        lines: the lines of the file.

    Raises:
        ValueError: the table has another format.
    """
    if len(lines) < 3 or tuple(lines[1].split()) != ATTRIBUTES:
        raise ValueError("its second line must name the 40 attributes of CelebA")
    rows = [line.split(maxsplit=1) for line in lines[2:] if line.strip()]
    values = np.array(" ".join(row[-1] for row in rows).split(), dtype=np.int8)
    is_whole = all(row[-1].count("1") == len(ATTRIBUTES) for row in rows)
    if not is_whole or len(values) != len(ATTRIBUTES) * len(rows) or not (np.abs(values) == 1).all():
        raise ValueError("a line must have a file name and 40 values of 1 or -1")
    return AttributeTable([row[0] for row in rows], values.reshape(len(rows), -1) == 1)


class FaceDataset(PublishedDataset, DeclaredDataset):
    """Faces with an attribute as their label: `name:Smiling`, by default `Male`; or with captions: `name:captions`.

    Captions are written from the attributes (`attribute_captions`). A record is an image: most persons have several
    images, and the guarantee covers each image by itself.
    """

    choices = (DEFAULT, *(attribute for attribute in ATTRIBUTES if attribute != DEFAULT), CAPTIONS)

    def __init__(self, argument: str, options: DataOptions):
        super().__init__(argument, options)
        if self.choice == CAPTIONS:
            self.caption_bytes = 1_024
        else:
            words = self.choice.replace("_", " ").lower()
            self.classes = (OPPOSITES.get(self.choice, f"not {words}"), words)

    @classmethod
    def collections(cls, argument: str) -> frozenset[str]:
        """See `Dataset.collections`."""
        return frozenset({"celeba"})

    @property
    @abstractmethod
    def _table_file(self) -> Path:
        """The file with the attributes."""

    @abstractmethod
    def _files(self, train: bool) -> list[str]:
        """The names of a split's files."""

    @cached_property
    def _table(self) -> AttributeTable:
        try:
            return read_table(self._lines(self._table_file))
        except ValueError as error:
            raise self._damaged(self._table_file, error) from error

    def _condition(self, train: bool) -> list[int] | list[str]:
        row = {file: number for number, file in enumerate(self._table.files)}
        files = self._files(train)
        if lacking := [file for file in files if file not in row]:
            raise self._damaged(self._table_file, f"it has no line for {lacking[0]}")
        has = self._table.has[[row[file] for file in files]]
        if self.choice != CAPTIONS:
            labels: list[int] = has[:, ATTRIBUTES.index(self.choice)].astype(int).tolist()
            return labels
        named = ({ATTRIBUTES[i] for i in np.flatnonzero(of)} for of in has)
        return caption_texts(map(describe, named), self.caption_bytes, self.name)
