"""The captions of many records, each record's as one text."""

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
        name: the name of the dataset, a public benchmark, in warnings.
    """
    texts: list[str] = []
    without = shortened = 0
    for given in captions:
        whole = join_captions(given, sys.maxsize)
        texts.append(whole if len(whole.encode()) <= length else join_captions(given, length))
        without += not whole
        shortened += texts[-1] != whole
    if without:
        warnings.warn(f"{without:,} of {len(texts):,} images of {name} have no caption; theirs is empty", stacklevel=2)
    if shortened:
        warnings.warn(
            f"the captions of {shortened:,} of {len(texts):,} images of {name} have more than {length} bytes together; "
            "what is longer is left out",
            stacklevel=2,
        )
    return texts
