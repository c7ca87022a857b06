"""The captions of many records, joined into one text per record."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Sequence

from dpbench.core.captions import join_captions


def caption_texts(captions: Iterable[Sequence[str]], length: int, name: str) -> list[str]:
    """One text per record; see `join_captions`. Every record is kept, and warnings count those that lack something.

    Args:
        captions: the captions of each record.
        length: bytes of UTF-8 per record.
        name: the dataset's name in warnings; the dataset is a public benchmark.
    """
    texts: list[str] = []
    without = shortened = 0
    for given in captions:
        whole = join_captions(given, sys.maxsize)
        texts.append(whole if len(whole.encode()) <= length else join_captions(given, length))
        without += not whole
        shortened += texts[-1] != whole
    if without:
        warnings.warn(f"{without:,} of {len(texts):,} images of {name} have no caption; it is left empty", stacklevel=2)
    if shortened:
        warnings.warn(
            f"the captions of {shortened:,} of {len(texts):,} images of {name} have more than {length} bytes in total; "
            "the excess is left out",
            stacklevel=2,
        )
    return texts
