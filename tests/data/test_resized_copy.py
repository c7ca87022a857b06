"""Copies of slow splits: made once, by one process, whole or not at all."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_files import paint

from dpbench.core.errors import DataError, DpbenchError
from dpbench.core.progress import Silent
from dpbench.core.specs import Batch, DatasetSpec
from dpbench.data import resized_copy
from dpbench.data.decoded import DecodedDataset
from dpbench.data.image_files import open_source
from dpbench.data.resized_copy import ResizedCopy, SlowSplit

N = 11
SPEC = DatasetSpec("slow", 3, 4, N, 0, ("a", "b"), True)


class Slow(SlowSplit):
    """Image i has the value i everywhere; `read` are the records that were decoded."""

    spec = SPEC
    condition = torch.arange(N) % 2
    images_key = "key"
    fingerprint = "slow"

    def __init__(self, fails_at: int = N, error: BaseException | None = None):
        self.read: list[int] = []
        self.fails_at, self.error = fails_at, error

    def __len__(self) -> int:
        return N

    def batch(self, indices: Sequence[int]) -> Batch:
        if self.error and self.fails_at in indices:
            raise self.error
        self.read += indices
        images = torch.tensor(list(indices), dtype=torch.uint8)[:, None, None, None].expand(-1, *SPEC.shape)
        return Batch(images.contiguous(), self.condition[list(indices)])


class Bar(Silent):
    """Notes the phases and their steps."""

    def __init__(self) -> None:
        self.phases: list[tuple[str, int]] = []
        self.steps = 0

    @contextmanager
    def phase(self, name: str, total: int) -> Iterator[object]:
        self.phases.append((name, total))
        yield self._advance

    def _advance(self, steps: int = 1, note: str = "") -> None:
        self.steps += steps


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resized_copy, "BLOCK", 2)


def copy_of(split: SlowSplit, folder: Path, bar: Silent | None = None) -> ResizedCopy:
    return ResizedCopy(split, folder, "slow-train-4", bar or Silent())


def shades(split: ResizedCopy) -> list[int]:
    return split.batch(range(N)).images[:, 0, 0, 0].tolist()


def test_images_are_decoded_once_and_read_by_everybody(tmp_path):
    split, bar = Slow(), Bar()
    copy = copy_of(split, tmp_path, bar)
    assert not list(tmp_path.iterdir())
    batch = copy.batch([3, 0, 3])
    assert (batch.images[:, 2, 3, 3].tolist(), batch.labels.tolist()) == ([3, 0, 3], [1, 0, 1])
    assert split.read == list(range(N))
    assert (bar.phases, bar.steps) == ([("resizing slow-train-4", N)], N)
    again = Slow()
    assert shades(copy_of(again, tmp_path, bar)) == list(range(N))
    assert (again.read, len(bar.phases)) == ([], 1)
    assert np.load(tmp_path / "slow-train-4-key.npy", mmap_mode="r").shape == (N, 3, 4, 4)


def test_an_empty_batch_has_no_records(tmp_path):
    batch = copy_of(Slow(), tmp_path).batch([])
    assert (batch.images.shape, batch.labels.shape) == ((0, 3, 4, 4), (0,))


def test_it_is_made_once_under_concurrent_use(tmp_path):
    splits = [Slow() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda split: shades(copy_of(split, tmp_path)), splits))
    assert found == [list(range(N))] * 4
    assert sorted(len(split.read) for split in splits) == [0, 0, 0, N]


def test_what_a_killed_process_left_is_completed(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        copy_of(Slow(7, KeyboardInterrupt()), tmp_path).batch([0])
    assert not list(tmp_path.glob("*.npy"))
    part = tmp_path / "slow-train-4-key.part"
    with part.open("r+b") as file:
        file.seek(-20, 2)
        file.write(bytes(20))  # what a crash may leave of the last block
    split, bar = Slow(), Bar()
    assert shades(copy_of(split, tmp_path, bar)) == list(range(N))
    assert split.read == list(range(4, N))
    assert bar.steps == N
    assert not part.exists()


def test_a_header_without_images_starts_over(tmp_path):
    (tmp_path / "slow-train-4-key.part").write_bytes(b"half a hea")
    assert shades(copy_of(Slow(), tmp_path)) == list(range(N))


def test_a_file_of_another_length_is_made_again(tmp_path):
    shades(copy_of(Slow(), tmp_path))
    path = tmp_path / "slow-train-4-key.npy"
    path.write_bytes(path.read_bytes()[:-5])
    assert shades(copy_of(Slow(), tmp_path)) == list(range(N))


def test_a_split_with_a_damaged_image_has_no_copy(tmp_path):
    split = Slow(5, DataError("5.png is damaged"))
    copy = copy_of(split, tmp_path)
    assert copy.batch([1, 2]).images[:, 0, 0, 0].tolist() == [1, 2]
    with pytest.raises(DataError, match=r"5\.png is damaged"):
        copy.batch([4, 5])
    assert [path.suffix for path in tmp_path.iterdir()] in ([], [".lock"])


def test_without_room_images_are_decoded_with_a_warning(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise DpbenchError("the resized images need 9.0 GB, but there is 1.0 GB free")

    monkeypatch.setattr(resized_copy, "check_space", full)
    with pytest.warns(UserWarning, match="need 9.0 GB.*decoded whenever they are read"):
        assert shades(copy_of(Slow(), tmp_path)) == list(range(N))
    assert not list(tmp_path.glob("*.npy"))


def test_a_disk_that_fills_up_leaves_no_part(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(resized_copy.os, "fsync", full)
    with pytest.warns(UserWarning, match="no room for .*decoded whenever they are read"):
        assert shades(copy_of(Slow(), tmp_path)) == list(range(N))
    assert [path.suffix for path in tmp_path.iterdir()] in ([], [".lock"])


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DpbenchError, match=r"cannot write to .*file"):
        copy_of(Slow(), tmp_path / "file" / "copies").batch([0])


def test_the_key_follows_the_files_and_the_shape_but_not_the_labels(tmp_path):
    for shade in range(4):
        paint(tmp_path / f"{shade}.png", shade)

    def key(side: int, labels: list[int]) -> str:
        spec = DatasetSpec("files", 3, side, 4, 0, ("a", "b"), True)
        return DecodedDataset(spec, open_source(tmp_path), [f"{i}.png" for i in range(4)], labels).images_key

    first = key(8, [0, 0, 1, 1])
    assert first == key(8, [1, 0, 1, 0]) != key(4, [0, 0, 1, 1])
    paint(tmp_path / "2.png", 99)
    assert first != key(8, [0, 0, 1, 1])
