"""Image files with captions."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from dpbench.core.captions import decode_captions
from dpbench.core.errors import DataError
from dpbench.core.specs import DatasetSpec
from dpbench.data import decoded
from dpbench.data.decoded import DecodedDataset
from dpbench.data.image_files import open_source

SPEC = DatasetSpec("files", 1, 8, 4, 0, None, True, caption_bytes=12)
TEXTS = ["black", "dark", "grey", "a light grey image"]


def opened(folder: Path, texts: list[str] | None) -> DecodedDataset:
    for shade in range(4):
        Image.new("L", (8, 8), 60 * shade).save(folder / f"{shade}.png")
    return DecodedDataset(SPEC, open_source(folder), [f"{shade}.png" for shade in range(4)], texts)


@pytest.mark.parametrize("cache", [0, decoded.CACHE_BYTES])
def test_captions_come_with_their_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: int) -> None:
    monkeypatch.setattr(decoded, "CACHE_BYTES", cache)
    batch = opened(tmp_path, TEXTS).batch([3, 1, 3])
    assert batch.images[:, 0, 0, 0].tolist() == [180, 60, 180]
    assert decode_captions(batch.captions) == ["a light grey", "dark", "a light grey"]
    assert batch.captions.shape == (3, 12)


def test_the_fingerprint_follows_captions(tmp_path: Path) -> None:
    first = opened(tmp_path, TEXTS).fingerprint
    assert opened(tmp_path, TEXTS).fingerprint == first != opened(tmp_path, TEXTS[::-1]).fingerprint


def test_captions_that_were_declared_are_not_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="likewise captions"):
        opened(tmp_path, None)
