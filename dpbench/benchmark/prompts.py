"""The prompts for sampling images of a dataset with captions: a list that is declared public (rule R7).

It is the user's file, the dataset's own public prompts, or the captions of the test split of a public benchmark.
"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from dpbench.core.captions import decode_captions, join_captions, split_captions
from dpbench.core.data import Dataset, ImageDataset
from dpbench.core.errors import DataError
from dpbench.core.files import digest

LONGEST = 1000
"""Maximum number of characters of a prompt."""

CHUNK = 500
"""Test records to read at once."""


class Prompts(NamedTuple):
    """Public prompts.

    Attributes:
        texts: the prompts, at least one.
        source: their source, as rows name it: "test captions".
    """

    texts: tuple[str, ...]
    source: str


def choose_prompts(dataset: Dataset, file: Path | None, most: int) -> Prompts:
    """The prompts for a dataset with captions.

    Args:
        dataset: a dataset with captions. Its test split is opened only if there are no other prompts.
        file: the user's prompts, or None.
        most: the number of captions to take from the test split: the first caption of each of the first records.

    Raises:
        DataError: there are no public prompts, or the file is missing, empty, or has a line that is too long.
    """
    if file is not None:
        return read_prompts(file)
    if dataset.prompts:
        return Prompts(tuple(dataset.prompts), "the dataset's")
    if not dataset.spec.public_benchmark:
        raise DataError(
            f"captions of '{dataset.spec.name}' are private, so sampling needs public prompts: give a file with "
            "--prompts, one prompt per line"
        )
    return Prompts(_first_captions(dataset.test(), most), "test captions")


def read_prompts(file: Path) -> Prompts:
    """The lines of a UTF-8 text file; empty lines are left out.

    Raises:
        DataError: it is missing, not UTF-8, empty, or has a line that is too long.
    """
    try:
        content = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"the file of prompts {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"the file of prompts {file} is not UTF-8 text (byte {error.start})") from error
    numbered = {number: join_captions([line], sys.maxsize) for number, line in enumerate(content.split("\n"), start=1)}
    lines = {number: line for number, line in numbered.items() if line}
    if not lines:
        raise DataError(f"the file of prompts {file} is empty; write one prompt per line")
    for number, line in lines.items():
        if len(line) > LONGEST:
            raise DataError(f"line {number} of {file} has {len(line):,} characters; a prompt has at most {LONGEST:,}")
    texts = tuple(lines.values())
    return Prompts(texts, f"{file.name}@{digest(texts)[:12]}")


def _first_captions(test: ImageDataset, most: int) -> tuple[str, ...]:
    """The first caption of each of the first `most` records that have one."""
    captions = (
        caption
        for start in range(0, len(test), CHUNK)
        for text in _texts(test, range(start, min(start + CHUNK, len(test))))
        for caption in split_captions(text)[:1]
    )
    if found := tuple(islice(captions, most)):
        return found
    raise DataError(f"no test record of '{test.spec.name}' has a caption to sample with; give a file with --prompts")


def _texts(test: ImageDataset, records: range) -> list[str]:
    captions = test.batch(records).captions
    return [] if captions is None else decode_captions(captions)
