"""Samples as PNG files, as an .npz and on a sheet: whole, or absent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dpbench.core.errors import DpbenchError
from dpbench.core.progress import Silent
from dpbench.core.specs import Conditions, DatasetSpec
from dpbench.results import image_export, samples
from dpbench.results.image_export import check_free, export, folder_names
from dpbench.results.samples import StoredSamples


def stored(folder: Path, channels: int, count: int) -> StoredSamples:
    """Random samples without classes, in shards of two."""
    images = np.random.default_rng(0).integers(0, 256, (count, channels, 8, 8), dtype=np.uint8)
    for number, start in enumerate(range(0, count, 2)):
        samples.write_shard(folder, number, images[start : start + 2])
    samples.write_conditions(folder, Conditions(count))
    return StoredSamples(folder, DatasetSpec("d", channels, 8, 10, 10, None, True))


@pytest.mark.parametrize("channels", [1, 3])
def test_images_without_classes(tmp_path: Path, channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_export, "ROWS", 2)
    source = stored(tmp_path / "samples", channels, 5)
    files = export(source, tmp_path / "out", "title", Silent())
    arrays = np.load(files.arrays)
    expected = source.batch(range(5)).images.numpy().transpose(0, 2, 3, 1)
    assert arrays.files == ["images"]
    assert np.array_equal(arrays["images"], expected)
    assert [path.name for path in sorted(files.images.iterdir())] == [f"0000{i}.png" for i in range(5)]
    assert np.array_equal(np.asarray(Image.open(files.images / "00004.png")), expected[4].squeeze())


def test_a_failure_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    source = stored(tmp_path / "samples", 1, 3)
    monkeypatch.setattr(image_export, "write_grid", full)
    with pytest.raises(DpbenchError, match=f"cannot write {tmp_path / 'out'}: No space left on device"):
        export(source, tmp_path / "out", "title", Silent())
    assert [path.name for path in tmp_path.iterdir()] == ["samples"]


def test_only_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    source = stored(tmp_path / "samples", 1, 3)
    assert export(source, tmp_path / "empty", "title", Silent()).sheet.is_file()
    for taken in (tmp_path / "empty", tmp_path / "samples" / "00000.npy"):
        with pytest.raises(DpbenchError, match="is not empty"):
            check_free(taken)


def test_class_folders_have_names_that_can_be_read_back() -> None:
    assert folder_names(("T-shirt/top", "Bag", "0 - zero")) == ["T-shirt-top", "Bag", "0 - zero"]
    assert folder_names(("a/b", "a-b", "c")) == ["0", "1", "2"]
    assert folder_names(("5", "7")) == ["5", "7"]
