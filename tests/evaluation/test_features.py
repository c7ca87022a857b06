from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from dpbench.evaluation import features
from dpbench.evaluation.features import Features, write_features
from dpbench.evaluation.stratified import stratified_part


def stored(folder: Path, array: np.ndarray, parts: int = 3) -> Features:
    return write_features(folder / "f.npy", len(array), np.array_split(array, parts))


def test_come_back_in_order_in_blocks_of_bounded_size(tmp_path, monkeypatch) -> None:
    array = np.random.default_rng(0).normal(size=(50, 4, 3)).astype(np.float32)
    monkeypatch.setattr(features, "BLOCK_BYTES", 7 * 4 * 12)
    found = stored(tmp_path, array)
    blocks = list(found.blocks())
    assert (len(found), found.shape, found.size) == (50, (4, 3), 12)
    assert max(map(len, blocks)) == 7
    halves = list(found.blocks(slice(1, 3)))
    assert max(map(len, halves)) == 14
    np.testing.assert_array_equal(np.concatenate(halves), array[:, 1:3])
    np.testing.assert_array_equal(np.concatenate(blocks), array)
    np.testing.assert_array_equal(np.load(found.file), array)


def test_a_part_is_drawn_by_class(tmp_path) -> None:
    labels = np.arange(100) % 10
    found = write_features(tmp_path / "f.npy", 100, [np.arange(100, dtype=np.float32)[:, None]], labels)
    assert found.at_most(20)[:, 0].tolist() == found.part(20).tolist() == stratified_part(labels, 100, 20).tolist()
    assert np.bincount(labels[found.part(20)]).tolist() == [2] * 10
    assert len(found.at_most(1000)) == 100


def test_what_is_derived_is_computed_once(tmp_path) -> None:
    found = stored(tmp_path, np.ones((4, 2), dtype=np.float32))
    calls = []

    def make():
        calls.append(1)
        return {"sum": np.concatenate(list(found.blocks())).sum(0)}

    for features_again in (found, Features(found.file)):
        assert features_again.derived("sum", make)["sum"].tolist() == [4, 4]
    assert len(calls) == 1


def test_what_other_code_derived_is_not_reused(tmp_path, monkeypatch) -> None:
    found = stored(tmp_path, np.ones((4, 2), dtype=np.float32))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    for value in (1, 2):
        (tmp_path / f"code{value}.py").write_text(
            f"import numpy as np\n\n\ndef make():\n    return {{'sum': np.full(2, {value}.0)}}\n", encoding="utf-8"
        )
        make = importlib.import_module(f"code{value}").make
        assert found.derived("sum", make)["sum"].tolist() == [value, value]


def test_nothing_is_left_of_features_that_were_not_finished(tmp_path) -> None:
    def fails():
        yield np.ones((2, 3), dtype=np.float32)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_features(tmp_path / "f.npy", 4, fails())
    with pytest.raises(ValueError, match="2 images, expected 4"):
        write_features(tmp_path / "f.npy", 4, [np.ones((2, 3))])
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_disk_that_is_full_says_so(monkeypatch) -> None:
    monkeypatch.setattr(features, "write_atomic", lambda path, write: write(Path("/dev/full")))
    monkeypatch.setattr(features, "_require_room", lambda file, needed: None)
    with pytest.raises(OSError, match="No space left on device"):
        write_features(Path("f.npy"), 4, [np.ones((4, 3))])


def test_rows_come_in_the_order_that_they_are_asked_for(tmp_path) -> None:
    array = np.random.default_rng(0).normal(size=(20, 2, 3)).astype(np.float32)
    np.testing.assert_array_equal(stored(tmp_path, array).rows(np.array([7, 0, 19, 7])), array[[7, 0, 19, 7]])
